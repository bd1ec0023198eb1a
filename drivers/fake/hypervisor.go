package fake

import (
	"context"
	"fmt"

	"yagura/drivers"
)

// Hypervisor is one client's connection to the world's hypervisor manager.
type Hypervisor struct{ w *World }

var _ drivers.Hypervisor = (*Hypervisor)(nil)

// Hypervisor opens a client on the hypervisor manager.
func (w *World) Hypervisor() *Hypervisor { return &Hypervisor{w} }

// Inventory implements drivers.Hypervisor.
func (h *Hypervisor) Inventory(ctx context.Context) (*drivers.Inventory, error) {
	var inv *drivers.Inventory
	err := h.w.read(ctx, h.w.system, OpInventory, "", func() error {
		inv = h.w.inventory()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return inv, nil
}

// VM implements drivers.Hypervisor.
func (h *Hypervisor) VM(ctx context.Context, uuid string) (drivers.VM, error) {
	return h.readVM(ctx, h.w.nameOf(uuid), func() *vm { return h.w.vms[uuid] })
}

// VMByName implements drivers.Hypervisor.
func (h *Hypervisor) VMByName(ctx context.Context, name string) (drivers.VM, error) {
	return h.readVM(ctx, name, func() *vm { return h.w.vmByName(name) })
}

func (h *Hypervisor) readVM(ctx context.Context, key string, find func() *vm) (drivers.VM, error) {
	var v drivers.VM
	err := h.w.read(ctx, h.w.system, OpReadVM, key, func() error {
		m := find()
		if m == nil {
			return h.w.notFound(OpReadVM, key, "VM")
		}
		v = h.w.view(m)
		return nil
	})
	if err != nil {
		return drivers.VM{}, err
	}
	return v, nil
}

// Server implements drivers.Hypervisor.
func (h *Hypervisor) Server(ctx context.Context, name string) (drivers.VMServer, error) {
	var s drivers.VMServer
	err := h.w.read(ctx, h.w.system, OpReadServer, name, func() error {
		x := h.w.hosts[name]
		if x == nil || !x.hypervisor {
			return h.w.notFound(OpReadServer, name, "VM server")
		}
		s = h.w.viewServer(x)
		return nil
	})
	if err != nil {
		return drivers.VMServer{}, err
	}
	return s, nil
}

// Task implements drivers.Hypervisor.
func (h *Hypervisor) Task(ctx context.Context, id string) (drivers.Task, error) {
	var out drivers.Task
	err := h.w.read(ctx, h.w.system, OpReadTask, id, func() error {
		t := h.w.tasks[id]
		if t == nil {
			out = drivers.Task{ID: id, State: drivers.TaskUnknown}
			return nil
		}
		out = t.look(h.w.now())
		return nil
	})
	if err != nil {
		return drivers.Task{}, err
	}
	return out, nil
}

// Close implements drivers.Hypervisor. The world has no sessions to end.
func (h *Hypervisor) Close(context.Context) error { return nil }

func (w *World) notFound(op, object, what string) error {
	return &drivers.Error{Kind: drivers.KindNotFound, System: w.system, Op: op, Object: object, Err: fmt.Errorf("no such %s", what)}
}

// vmCall makes the change of a VM; the object is its name, as in the ledger.
func (h *Hypervisor) vmCall(call drivers.Call, op, uuid string) change {
	return change{system: h.w.system, op: op, object: h.w.nameOf(uuid), call: call}
}

// nameOf is the name of a VM, or its UUID if there is none.
func (w *World) nameOf(uuid string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.vms[uuid]; m != nil {
		return m.v.Name
	}
	return uuid
}
