package fake

import (
	"context"
	"slices"
	"strings"

	"yagura/drivers"
)

// Physical describes a physical machine that is no VM server, for AddPhysical.
type Physical struct {
	UUID         string             // default UUIDOf(name)
	Power        drivers.PowerState // default off
	NICs         []drivers.NIC      // the primary one first; default: one, with a MAC address of the name's own
	Initiators   []string           // its names towards arrays; default: one iSCSI name
	Manufacturer string             // default "fake"
	Model        string             // default "fake"
	Serial       string
	CPUs         int    // default 8
	MemoryMiB    int64  // default 32768
	Health       string // normal | degraded | failed; default "normal"
}

// OpReadHardware is the read of what a machine is, through its BMC.
const OpReadHardware = "read-hardware"

// AddPhysical makes a physical machine with a BMC. Its operating system
// listens to a graceful shutdown while it is on: NoOS takes that away, HostDown
// crashes it, BMCDown silences its BMC.
func (w *World) AddPhysical(name string, p Physical) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[name] = newHost(name, p, w)
	w.notify()
}

// newHost makes a machine, with defaults for what p leaves open. The caller holds mu.
func newHost(name string, p Physical, w *World) *host {
	id := UUIDOf(name)
	if p.UUID == "" {
		p.UUID = id
	}
	if p.Power == "" {
		p.Power = drivers.PowerOff
	}
	if len(p.NICs) == 0 {
		p.NICs = []drivers.NIC{{MAC: "52:54:00:" + id[0:2] + ":" + id[2:4] + ":" + id[4:6]}}
	}
	if len(p.Initiators) == 0 {
		p.Initiators = []string{"iqn.2026-01.example.fake:" + strings.ToLower(name)}
	}
	if p.Manufacturer == "" {
		p.Manufacturer = "fake"
	}
	if p.Model == "" {
		p.Model = "fake"
	}
	if p.CPUs == 0 {
		p.CPUs = 8
	}
	if p.MemoryMiB == 0 {
		p.MemoryMiB = 32768
	}
	if p.Health == "" {
		p.Health = "normal"
	}
	p.NICs, p.Initiators = slices.Clone(p.NICs), slices.Clone(p.Initiators)
	return &host{
		name: name, uuid: p.UUID, power: p.Power, cpus: p.CPUs, memoryMiB: p.MemoryMiB, boot: w.now(),
		nics: p.NICs, initiators: p.Initiators, manufacturer: p.Manufacturer, model: p.Model, serial: p.Serial, health: p.Health,
	}
}

// Machine is what is true of a machine or VM server, whatever its BMC or
// manager would say. It leaves no trace and meets no hook or fault.
func (w *World) Machine(name string) Physical {
	var p Physical
	w.knob(name, func(x *host) { p = x.physical() })
	return p
}

func (h *host) physical() Physical {
	return Physical{
		UUID: h.uuid, Power: h.power, NICs: slices.Clone(h.nics), Initiators: slices.Clone(h.initiators),
		Manufacturer: h.manufacturer, Model: h.model, Serial: h.serial, CPUs: h.cpus, MemoryMiB: h.memoryMiB, Health: h.health,
	}
}

// ChangeHardware changes what a machine is, as a person with a screwdriver
// would; f gets it as it is. Its power stays.
func (w *World) ChangeHardware(name string, f func(*Physical)) {
	w.knob(name, func(x *host) {
		p := x.physical()
		f(&p)
		x.uuid, x.cpus, x.memoryMiB, x.nics, x.initiators = p.UUID, p.CPUs, p.MemoryMiB, p.NICs, p.Initiators
		x.manufacturer, x.model, x.serial, x.health = p.Manufacturer, p.Model, p.Serial, p.Health
	})
}

// owner is the machine that has an initiator; "" when none has it. The caller holds mu.
func (w *World) owner(initiator string) string {
	for _, h := range w.hosts {
		if slices.Contains(h.initiators, initiator) {
			return h.name
		}
	}
	return ""
}

// Hardware is one client's view of what machines are, through their BMCs.
type Hardware struct{ w *World }

var _ drivers.Hardware = (*Hardware)(nil)

// Hardware opens a client on the management controllers.
func (w *World) Hardware() *Hardware { return &Hardware{w} }

// Hardware implements drivers.Hardware.
func (h *Hardware) Hardware(ctx context.Context, machine string) (drivers.HardwareInfo, error) {
	var info drivers.HardwareInfo
	err := h.w.read(ctx, BMCSystem, OpReadHardware, machine, func() error {
		x, err := h.w.bmc(&change{system: BMCSystem, op: OpReadHardware, object: machine})
		if err != nil {
			return err
		}
		info = drivers.HardwareInfo{
			UUID: x.uuid, Manufacturer: x.manufacturer, Model: x.model, Serial: x.serial, Firmware: "1.0",
			CPUs: x.cpus, MemoryMiB: x.memoryMiB, NICs: slices.Clone(x.nics), Health: x.health,
		}
		return nil
	})
	if err != nil {
		return drivers.HardwareInfo{}, err
	}
	return info, nil
}
