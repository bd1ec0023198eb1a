package sequence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

const (
	nameCollect = "collect-inventory"
	kindVCenter = "vcenter"
)

// collect reads what a subsystem knows and merges it into the rows.
var collect = &Sequence{
	Name: fsm.SeqCollect,
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) {
		if j.Params[fsm.ParamMachines] != "" {
			return planCollectMachines(), nil
		}
		name := j.Params[fsm.ParamSubsystem]
		s, ok := fsm.Subsystems.Get(r, name)
		if !ok {
			return nil, schema.Errorf(schema.KindNotFound, "subsystem "+name, "there is no such subsystem")
		}
		step := nameCollectSubsystem
		if s.Kind == kindVCenter {
			step = nameCollect
		}
		p := &Plan{Locks: []string{fsm.Exclusive("collect", name)}}
		p.add(step, name, map[string]string{argSubsystem: name})
		return p, nil
	},
}

var collectInventory = &Step{
	Name: nameCollect,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		h, err := e.hypervisor(ctx)
		if err != nil {
			return drivers.Task{}, err
		}
		inv, err := h.Inventory(ctx)
		if err != nil {
			return drivers.Task{}, err
		}
		e.Carry = inv
		return drivers.Done(""), nil
	}},
	Commit: func(tx *fsm.Tx, e *Env) error {
		inv := e.Carry.(*drivers.Inventory)
		rows := MachinesOf(e.Step.Target, inv)
		extent := fsm.Complete
		switch {
		case inv.Truncated:
			extent = fsm.Partial
		case e.Job.Params[fsm.ParamForce] != "":
			extent = fsm.Confirmed
		}
		problems, err := Merge(tx, e.Step.Target, rows, extent)
		if err != nil {
			return err
		}
		e.Job.Result = fmt.Sprintf("%d VM servers, %d VMs and templates", len(inv.Servers), len(inv.VMs))
		if len(problems) > 0 {
			e.set("problems", strings.Join(problems, "; "))
			e.Job.Result += fmt.Sprintf(", %d problems: %s", len(problems), strings.Join(problems, "; "))
		}
		return nil
	},
	Timeout:  10 * time.Minute,
	Patience: 20 * time.Second,
	GivesUp:  true,
	ReadOnly: true,
}

// MachinesOf converts an inventory to machine rows.
func MachinesOf(subsystem string, inv *drivers.Inventory) []*schema.Machine {
	out := make([]*schema.Machine, 0, len(inv.Servers)+len(inv.VMs))
	for i := range inv.Servers {
		out = append(out, MachineOfServer(subsystem, inv.Servers[i]))
	}
	for i := range inv.VMs {
		out = append(out, MachineOfVM(subsystem, inv.VMs[i]))
	}
	return out
}

// MachineOfServer is a VM server as a machine row.
func MachineOfServer(subsystem string, s drivers.VMServer) *schema.Machine {
	m := &schema.Machine{
		Name: s.Name, Uuid: schema.NormalUUID(s.UUID), Kind: schema.MachineVMServer, Subsystem: subsystem, Power: power(s.Power), Connected: s.Connected,
		VmMaintenance: s.Maintenance, Datacenter: s.Datacenter, Networks: sorted(s.Networks), Cpus: int32(s.CPUs), MemoryMib: s.MemoryMiB,
		CpuMhz: s.CPUTotalMHz, ModelName: s.Model, Nics: nics(s.NICs),
	}
	for _, d := range s.Datastores {
		m.Datastores = append(m.Datastores, d.Name)
		if d.Shared {
			m.SharedDatastores = append(m.SharedDatastores, d.Name)
		}
	}
	m.Datastores, m.SharedDatastores = sorted(m.Datastores), sorted(m.SharedDatastores)
	return m
}

// MachineOfVM is a VM or template as a machine row.
func MachineOfVM(subsystem string, v drivers.VM) *schema.Machine {
	return &schema.Machine{
		Name: v.Name, Uuid: schema.NormalUUID(v.UUID), Kind: schema.MachineVM, Subsystem: subsystem, Power: power(v.Power), Connected: v.Connected,
		VmServer: v.Server, Datacenter: v.Datacenter, Datastores: sorted(v.Datastores), Networks: sorted(v.Networks), Cpus: int32(v.CPUs),
		MemoryMib: v.MemoryMiB, Template: v.Template, Nics: nics(v.NICs),
	}
}

func power(p drivers.PowerState) string {
	switch p {
	case drivers.PowerOn, drivers.PowerOff, drivers.PowerSuspended:
		return string(p)
	}
	return schema.PowerUnknown
}

func nics(in []drivers.NIC) []*schema.NIC {
	var out []*schema.NIC
	for _, n := range in {
		if mac := schema.NormalMAC(n.MAC); mac != "" {
			out = append(out, &schema.NIC{Mac: mac, Network: n.Network})
		}
	}
	return out
}

func sorted(in []string) []string { return slices.Compact(slices.Sorted(slices.Values(in))) }
