package sim

import (
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// phase is what a physical machine really is doing, whatever vCenter or the
// BMC say about it.
type phase string

const (
	phaseOff      phase = "off"      // no power
	phaseBooting  phase = "booting"  // power, operating system not there yet
	phaseUp       phase = "up"       // operating system or hypervisor runs
	phaseStopping phase = "stopping" // operating system shuts down
	phaseHung     phase = "hung"     // power, but the operating system is dead
)

// machine is the truth about one physical machine. Sim.mu guards all of it
// but the names.
type machine struct {
	name     string
	uuid     string
	spec     MachineSpec
	vmServer bool

	phase phase
	// turn counts the changes of phase. A timer that finds another turn than
	// it was set in has been overtaken and does nothing.
	turn int
	// standby is set while vCenter has put the machine to sleep; its power is off.
	standby bool
	// bmcDead: the BMC doesn't answer.
	bmcDead bool
	// detached: an operator has disconnected the server from vCenter, in turn
	// detachedAt.
	detached   bool
	detachedAt int
}

// powered is what the BMC reports.
func (m *machine) powered() bool { return m.phase != phaseOff }

// runsVMs tells whether VMs on the machine can run and be controlled.
func (m *machine) runsVMs() bool { return m.phase == phaseUp }

// reachable tells whether vCenter can work with the server.
func (m *machine) reachable() bool { return m.phase == phaseUp && !m.detached }

// enter moves m into a phase and returns the new turn. Sim.mu must be held for writing.
func (s *Sim) enter(m *machine, p phase) int {
	m.phase = p
	m.turn++
	s.changed.fire()
	return m.turn
}

// later runs f with Sim.mu held after d, unless m has changed phase by then.
func (s *Sim) later(m *machine, turn int, d time.Duration, f func()) {
	s.spawn(func() {
		if !pause(s.ctx, d) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if m.turn == turn {
			f()
		}
	})
}

// The functions below change a machine's phase. Each needs Sim.mu held for
// writing, and tells whether there was something to do.

// powerOn gives power; the machine boots and its hypervisor returns to vCenter.
func (s *Sim) powerOn(m *machine) bool {
	if m.powered() {
		return false
	}
	m.standby = false
	s.boot(m)
	return true
}

func (s *Sim) boot(m *machine) {
	s.later(m, s.enter(m, phaseBooting), s.cfg.BootTime, func() {
		s.enter(m, phaseUp)
		if m.vmServer && !m.detached {
			s.vc.hostBack(m)
		}
	})
}

// forceOff takes the power away. Whatever ran on the machine is dead.
func (s *Sim) forceOff(m *machine) bool {
	if !m.powered() {
		return false
	}
	s.lose(m, types.HostSystemPowerStateUnknown)
	s.enter(m, phaseOff)
	return true
}

// reset takes the power away and gives it again.
func (s *Sim) reset(m *machine) bool {
	if !m.powered() {
		return false
	}
	s.lose(m, types.HostSystemPowerStateUnknown)
	s.boot(m)
	return true
}

// crash kills the operating system; the power stays on.
func (s *Sim) crash(m *machine) bool {
	if !m.powered() || m.phase == phaseHung {
		return false
	}
	s.lose(m, types.HostSystemPowerStateUnknown)
	s.enter(m, phaseHung)
	return true
}

// stop shuts the operating system down, then switches off, or boots again.
// Only a running operating system listens.
func (s *Sim) stop(m *machine, seen types.HostSystemPowerState, again bool) bool {
	if m.phase != phaseUp {
		return false
	}
	s.lose(m, seen)
	s.later(m, s.enter(m, phaseStopping), s.cfg.StopTime, func() {
		if again {
			s.boot(m)
			return
		}
		s.enter(m, phaseOff)
		m.standby = seen == types.HostSystemPowerStateStandBy
	})
	return true
}

// lose tells vCenter that a server doesn't answer any more. seen is what
// vCenter believes about its power: it knows only what it ordered itself.
func (s *Sim) lose(m *machine, seen types.HostSystemPowerState) {
	if m.vmServer && m.phase == phaseUp && !m.detached {
		s.vc.hostLost(m, seen)
	}
}
