package fake

import "yagura/drivers"

// The knobs below change the world from outside, as a power cut or a person
// would. They leave no trace in the ledger. A name that the world doesn't have
// panics: that is a mistake in the test.

// HostDown crashes a machine: nothing runs on it any more and its manager gets
// no answer. Its BMC still answers and reports it as on, unless bmcToo, which
// stands for the loss of all power.
func (w *World) HostDown(name string, bmcToo bool) {
	w.knob(name, func(x *host) {
		w.endVMs(x)
		x.crashed, x.bmcDead = true, bmcToo
		if bmcToo {
			w.stopHost(x)
		}
	})
}

// HostIsolated cuts a VM server off from its manager. Its VMs keep running: to
// start one elsewhere before the machine is off is a violation.
func (w *World) HostIsolated(name string) { w.knob(name, func(x *host) { x.isolated = true }) }

// HostUp brings a machine and its BMC back. After a crash or power loss its
// VMs are off; after an isolation they still run.
func (w *World) HostUp(name string) {
	w.knob(name, func(x *host) {
		x.bmcDead = false
		if x.isolated && x.power == drivers.PowerOn && !x.crashed {
			x.isolated = false
			return
		}
		w.bootHost(x)
	})
}

// BMCDown makes only the BMC of a machine silent, or brings it back.
func (w *World) BMCDown(name string, down bool) {
	w.knob(name, func(x *host) { x.bmcDead = down })
}

// HostMaintenance puts a VM server in or out of maintenance, as a person at the manager would.
func (w *World) HostMaintenance(name string, on bool) {
	w.knob(name, func(x *host) { x.maintenance = on })
}

// HostStandby puts a VM server into standby, from which its manager can wake it.
func (w *World) HostStandby(name string) {
	w.knob(name, func(x *host) {
		w.stopHost(x)
		x.standby = true
	})
}

// NoOS makes a physical machine ignore graceful shutdown and reboot.
func (w *World) NoOS(name string) { w.knob(name, func(x *host) { x.noOS = true }) }

// NoTools takes the guest tools of a VM away, by name: its guest can't be
// asked to shut down or reboot.
func (w *World) NoTools(name string) {
	w.vmKnob(name, func(m *vm) { m.v.ToolsRunning = false })
}

// SetVMState sets what the VM is, as a person at the manager would.
func (w *World) SetVMState(name string, p drivers.PowerState) {
	w.vmKnob(name, func(m *vm) {
		m.v.Power, m.running = p, p == drivers.PowerOn
	})
}

// Load sets the measured CPU use of a VM in MHz.
func (w *World) Load(name string, mhz int64) {
	w.vmKnob(name, func(m *vm) { m.v.CPUMHz = mhz })
}

func (w *World) knob(name string, f func(*host)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	x := w.hosts[name]
	if x == nil {
		panic("fake: no machine " + name)
	}
	f(x)
	w.notify()
}

func (w *World) vmKnob(name string, f func(*vm)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	m := w.vmByName(name)
	if m == nil {
		panic("fake: no VM " + name)
	}
	f(m)
	w.notify()
}
