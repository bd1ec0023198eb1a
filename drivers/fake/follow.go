package fake

import (
	"context"
	"reflect"
	"time"

	"yagura/drivers"
)

// followLook bounds how long a follower trusts that nothing becomes due while
// tasks run on a clock that it can't wait for.
const followLook = 10 * time.Millisecond

// Follow implements drivers.Hypervisor.
func (h *Hypervisor) Follow(ctx context.Context, fn func(drivers.Change)) error {
	w := h.w
	servers, vms := map[string]drivers.VMServer{}, map[string]drivers.VM{}
	for first := true; ; first = false {
		var inv *drivers.Inventory
		var changed chan struct{}
		var busy bool
		err := w.read(ctx, w.system, OpFollow, "", func() error {
			inv, changed, busy = w.inventory(), w.changed, len(w.pending) > 0
			return nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		tell(inv, servers, vms, fn)
		if first {
			fn(drivers.Change{Synced: true})
		}
		var look <-chan time.Time
		var t *time.Timer
		if busy {
			t = time.NewTimer(followLook)
			look = t.C
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-look:
		}
		if t != nil {
			t.Stop()
		}
	}
}

// tell calls fn with the differences between inv and what was told before.
func tell(inv *drivers.Inventory, servers map[string]drivers.VMServer, vms map[string]drivers.VM, fn func(drivers.Change)) {
	seen := map[string]bool{}
	for _, s := range inv.Servers {
		seen[s.Name] = true
		if old, ok := servers[s.Name]; !ok || !reflect.DeepEqual(old, s) {
			servers[s.Name] = s
			fn(drivers.Change{Server: &s})
		}
	}
	for _, v := range inv.VMs {
		seen[v.UUID] = true
		if old, ok := vms[v.UUID]; !ok || !reflect.DeepEqual(old, v) {
			vms[v.UUID] = v
			fn(drivers.Change{VM: &v})
		}
	}
	for name := range servers {
		if !seen[name] {
			delete(servers, name)
			fn(drivers.Change{Gone: name})
		}
	}
	for uuid := range vms {
		if !seen[uuid] {
			delete(vms, uuid)
			fn(drivers.Change{Gone: uuid})
		}
	}
}
