package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// The methods of this file are what `pvmd sim ctl` offers. Each returns a
// sentence that says what was done.

// find returns a machine by name, or an error that lists the names.
func (s *Sim) find(name string) (*machine, error) {
	if m := s.machines[name]; m != nil {
		return m, nil
	}
	var names []string
	for _, m := range s.order() {
		names = append(names, m.name)
	}
	return nil, &UsageError{Msg: fmt.Sprintf("no machine is named %q; there are: %s", name, shorten(names))}
}

// shorten joins names, and leaves the middle of a long list out.
func shorten(names []string) string {
	const most = 40
	if len(names) > most {
		names = append(append(slices.Clone(names[:most-1]), "..."), names[len(names)-1])
	}
	return strings.Join(names, ", ")
}

// HostDown crashes a machine: its operating system or hypervisor is dead, and
// so are the VMs on it, while the power stays on and the BMC says so. With
// bmcToo the BMC doesn't answer any more either. A switch, balancer or
// array only falls silent.
func (s *Sim) HostDown(name string, bmcToo bool) (string, error) {
	if d := s.device(name); d != nil {
		d.silence(true)
		return name + " doesn't answer any more; what it does stays as it is", nil
	}
	m, err := s.find(name)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	crashed := s.crash(m)
	if bmcToo {
		m.bmcDead = true
	}
	phase := m.phase
	s.mu.Unlock()
	msg := fmt.Sprintf("%s hangs; its BMC answers and reports power on", name)
	switch {
	case !crashed && phase == phaseHung:
		msg = name + " hung already"
	case !crashed:
		msg = fmt.Sprintf("%s is %s, so nothing on it can crash", name, phase)
	}
	if bmcToo {
		s.bmcOf(m).srv.ln.mute(true)
		msg = fmt.Sprintf("%s is %s and its BMC doesn't answer", name, phase)
	}
	return msg, nil
}

// device is what isn't a machine and can fall silent.
type device interface{ silence(on bool) }

// device finds a switch, balancer or array; nil when there is none of that name.
func (s *Sim) device(name string) device {
	for _, w := range s.switches {
		if w.spec.Name == name {
			return w
		}
	}
	for _, b := range s.balancers {
		if b.name == name {
			return b
		}
	}
	for _, a := range s.arrays {
		if a.name == name {
			return a
		}
	}
	return nil
}

func (s *Sim) bmcOf(m *machine) *bmc {
	return s.bmcs[slices.IndexFunc(s.bmcs, func(b *bmc) bool { return b.m == m })]
}

// HostUp repairs a machine: its BMC answers, a hung machine is restarted, one
// that is off is switched on. It returns when the machine is up, for a VM
// server that is when vCenter has it back.
func (s *Sim) HostUp(ctx context.Context, name string) (string, error) {
	if d := s.device(name); d != nil {
		d.silence(false)
		return name + " answers", nil
	}
	m, err := s.find(name)
	if err != nil {
		return "", err
	}
	s.bmcOf(m).srv.ln.mute(false)
	const grace = 10 * time.Second
	s.await(ctx, s.cfg.StopTime+grace, func() bool { return m.phase != phaseStopping })
	s.mu.Lock()
	m.bmcDead = false
	was := m.phase
	switch was {
	case phaseHung:
		s.reset(m)
	case phaseOff:
		s.powerOn(m)
	}
	s.mu.Unlock()
	if was == phaseUp {
		return name + " was up already", nil
	}
	up := func() bool { return m.phase == phaseUp }
	if !s.await(ctx, s.cfg.BootTime+grace, up) {
		return "", fmt.Errorf("%s didn't come up; see `pvmd sim ctl status`", name)
	}
	return fmt.Sprintf("%s was %s and is up", name, was), nil
}

// Delay makes every task of op take that long; 0 ends it.
func (s *Sim) Delay(op string, d time.Duration) (string, error) {
	if err := s.rules.setDelay(op, d); err != nil {
		return "", err
	}
	return fmt.Sprintf("each %s takes %s", op, d), nil
}

// Fail makes the next calls of op fail, so many times; 0 ends it.
func (s *Sim) Fail(op string, times int) (string, error) {
	if err := s.rules.setFail(op, times); err != nil {
		return "", err
	}
	return fmt.Sprintf("the next %d calls of %s fail", times, op), nil
}

// Load sets the CPU and memory load of a VM server or VM, in percent of its
// size. What is set for a VM server is borne by the VMs that run on it, and goes
// with them when they are moved. vCenter's alarms on CPU usage follow.
func (s *Sim) Load(name string, percent int) (string, error) {
	if percent < 0 || percent > 100 {
		return "", &UsageError{Msg: fmt.Sprintf("load %d is out of range (0 to 100 percent)", percent)}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.vc.showLoad(name, percent); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is loaded with %d %%", name, percent), nil
}

func (v *vcenter) showLoad(name string, percent int) error {
	ctx := v.call()
	if host := v.hosts[name]; host != nil {
		from, to := v.setLoad(name, percent)
		v.spread(ctx, host, percent)
		v.showHostLoad(ctx, host)
		v.alarm(ctx, alarmHostCPU, v.hostEvent(host, "load").Event, host, name, from, to)
		return nil
	}
	vm := v.vmNamed(ctx, name)
	if vm == nil {
		return &UsageError{Msg: fmt.Sprintf("no VM server or VM is named %q; the VM servers are: %s", name, shorten(v.hostNames()))}
	}
	from, to := v.setLoad(name, percent)
	v.showVMLoad(ctx, vm)
	v.alarm(ctx, alarmVMCPU, v.vmEvent(ctx, vm, v.hostOf(ctx, vm)).Event, vm, name, from, to)
	return nil
}

func (v *vcenter) hostNames() []string {
	names := make([]string, 0, len(v.hosts))
	for _, spec := range v.sim.layout.servers {
		names = append(names, spec.Name)
	}
	return names
}

// vms lists all VMs and templates, in the order that they were made.
func (v *vcenter) vms() []*simulator.VirtualMachine {
	all := v.reg.All("VirtualMachine")
	out := make([]*simulator.VirtualMachine, 0, len(all))
	for _, e := range all {
		if vm, ok := e.(*simulator.VirtualMachine); ok {
			out = append(out, vm)
		}
	}
	number := func(vm *simulator.VirtualMachine) (n int) {
		_, _ = fmt.Sscanf(vm.Self.Value, "vm-%d", &n)
		return n
	}
	slices.SortFunc(out, func(a, b *simulator.VirtualMachine) int { return number(a) - number(b) })
	return out
}

func (v *vcenter) vmNamed(ctx *simulator.Context, name string) *simulator.VirtualMachine {
	for _, vm := range v.vms() {
		if v.vmName(ctx, vm) == name {
			return vm
		}
	}
	return nil
}

// Clear ends all delays, failures and loads, makes everything answer, and
// restarts the machines that hang. A machine that is off stays off.
func (s *Sim) Clear(ctx context.Context) (string, error) {
	s.rules.clear()
	for _, w := range s.switches {
		w.silence(false)
	}
	for _, b := range s.balancers {
		b.silence(false)
	}
	for _, a := range s.arrays {
		a.silence(false)
	}
	s.mu.RLock()
	s.vc.endLoads()
	var again []string
	for _, m := range s.order() {
		if m.phase == phaseHung || m.bmcDead {
			again = append(again, m.name)
		}
	}
	s.mu.RUnlock()
	for _, name := range again {
		m := s.machines[name]
		s.bmcOf(m).srv.ln.mute(false)
		s.mu.Lock()
		m.bmcDead = false
		if m.phase == phaseHung {
			s.reset(m)
		}
		s.mu.Unlock()
	}
	for _, name := range again {
		m := s.machines[name]
		if !s.await(ctx, s.cfg.BootTime+10*time.Second, func() bool { return m.phase == phaseUp || m.phase == phaseOff }) {
			return "", fmt.Errorf("%s didn't come up; see `pvmd sim ctl status`", name)
		}
	}
	return "no delays, failures or loads; everything answers", nil
}

// endLoads forgets all loads that were set; the alarms on them end.
func (v *vcenter) endLoads() {
	ctx := v.call()
	loads := v.clearLoads()
	for name := range loads {
		v.showNamed(name)
	}
	for name, l := range loads {
		if host := v.hosts[name]; host != nil {
			v.alarm(ctx, alarmHostCPU, v.hostEvent(host, "load").Event, host, name, l.status, types.ManagedEntityStatusGreen)
		} else if vm := v.vmNamed(ctx, name); vm != nil {
			v.alarm(ctx, alarmVMCPU, v.vmEvent(ctx, vm, v.hostOf(ctx, vm)).Event, vm, name, l.status, types.ManagedEntityStatusGreen)
		}
	}
}

// showNamed publishes the load of a server or VM as it is.
func (v *vcenter) showNamed(name string) {
	ctx := v.call()
	if host := v.hosts[name]; host != nil {
		v.showHostLoad(ctx, host)
	} else if vm := v.vmNamed(ctx, name); vm != nil {
		v.showVMLoad(ctx, vm)
	}
}

// MachineStatus is the truth about one physical machine.
type MachineStatus struct {
	Name        string `json:"name"`
	VMServer    bool   `json:"vm_server"`
	Phase       string `json:"phase"` // off, booting, up, stopping, hung
	Power       string `json:"power"` // on, off: what the BMC reports
	BMC         string `json:"bmc"`   // URL
	BMCAnswers  bool   `json:"bmc_answers"`
	VCenter     string `json:"vcenter"` // vCenter's connection state; empty if it isn't a VM server
	Maintenance bool   `json:"maintenance"`
	Running     int    `json:"running"` // VMs that really run
}

// VMStatus is one VM, as vCenter shows it and as it is.
type VMStatus struct {
	Name      string `json:"name"`
	Server    string `json:"server"`
	Power     string `json:"power"`   // on, off, suspended: vCenter's last word
	Running   bool   `json:"running"` // it really runs
	Connected bool   `json:"connected"`
	Template  bool   `json:"template"`
}

// Status is the whole world at one moment.
type Status struct {
	Machines []MachineStatus `json:"machines"`
	VMs      []VMStatus      `json:"vms"`
	Switches []SwitchStatus  `json:"switches"`

	Balancers []BalancerStatus `json:"balancers"`
	Arrays    []ArrayStatus    `json:"arrays"`

	Rules []Rule `json:"rules"`
}

// Status tells how everything is.
func (s *Sim) Status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ctx := s.vc.call()
	st := Status{Rules: s.rules.list()}
	for _, w := range s.switches {
		st.Switches = append(st.Switches, w.status())
	}
	for _, b := range s.balancers {
		st.Balancers = append(st.Balancers, b.status())
	}
	for _, a := range s.arrays {
		st.Arrays = append(st.Arrays, a.status())
	}
	running := map[string]int{}
	for _, vm := range s.vc.vms() {
		vs := s.vc.vmStatus(ctx, vm)
		if vs.Running {
			running[vs.Server]++
		}
		st.VMs = append(st.VMs, vs)
	}
	for i, m := range s.order() {
		ms := MachineStatus{
			Name: m.name, VMServer: m.vmServer, Phase: string(m.phase), Power: "off", BMC: s.bmcs[i].url(),
			BMCAnswers: !m.bmcDead, Running: running[m.name],
		}
		if m.powered() {
			ms.Power = "on"
		}
		if host := s.vc.hosts[m.name]; host != nil {
			ctx.WithLock(host, func() {
				ms.VCenter, ms.Maintenance = string(host.Runtime.ConnectionState), host.Runtime.InMaintenanceMode
			})
		}
		st.Machines = append(st.Machines, ms)
	}
	return st
}

func (v *vcenter) vmStatus(ctx *simulator.Context, vm *simulator.VirtualMachine) VMStatus {
	host := v.hostOf(ctx, vm)
	vs := VMStatus{Server: host.Name}
	ctx.WithLock(vm, func() {
		vs.Name = vm.Name
		vs.Template = vm.Config.Template
		vs.Connected = vm.Runtime.ConnectionState == types.VirtualMachineConnectionStateConnected
		switch vm.Runtime.PowerState {
		case types.VirtualMachinePowerStatePoweredOn:
			vs.Power = "on"
			vs.Running = v.machineOf(host).runsVMs()
		case types.VirtualMachinePowerStateSuspended:
			vs.Power = "suspended"
		default:
			vs.Power = "off"
		}
	})
	return vs
}
