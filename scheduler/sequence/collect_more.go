package sequence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Names of the steps that read what isn't a manager of VM servers.
const (
	nameCollectSubsystem = "collect-subsystem"
	nameCollectMachines  = "collect-machines"
)

// planCollectMachines reads all physical machines through their management
// controllers.
func planCollectMachines() *Plan {
	p := &Plan{Locks: []string{fsm.Exclusive("collect", "machines")}}
	p.add(nameCollectMachines, "machines", nil)
	return p
}

// found is what a subsystem of another kind than a manager of VM servers has.
type found struct {
	what      string // in a few words
	vlans     []drivers.VLAN
	ports     []drivers.Port
	pools     []string
	volumes   []drivers.VolumeState
	scenarios []drivers.Scenario
	kind      string // switch | balancer | storage | distributor
}

// collectSubsystem reads a switch, a balancer, an array or a system that
// distributes software: what the rows name must be there, and scenarios become
// software that can be registered [1.5.1, 1.7.1].
var collectSubsystem = &Step{
	Name: nameCollectSubsystem,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		f, err := readSubsystem(ctx, e)
		e.Carry = f
		return drivers.Done(""), err
	}},
	Commit: func(tx *fsm.Tx, e *Env) error {
		f, name := e.Carry.(*found), e.Step.Target
		problems := f.problems(tx, name)
		added, err := takeScenarios(tx, name, f.scenarios)
		if err != nil {
			return err
		}
		e.Job.Result = f.what
		if added > 0 {
			e.Job.Result += fmt.Sprintf(", %d of them new", added)
		}
		if len(problems) > 0 {
			e.set("problems", strings.Join(problems, "; "))
			e.Job.Result += fmt.Sprintf(", %d problems: %s", len(problems), strings.Join(problems, "; "))
		}
		s, ok := fsm.Subsystems.Edit(tx, name)
		if !ok {
			return nil
		}
		s.Collected, s.Error = timestamppb.New(tx.Now()), strings.Join(problems, "; ")
		return fsm.Subsystems.Put(tx, s)
	},
	Timeout:  5 * time.Minute,
	Patience: 20 * time.Second,
	GivesUp:  true,
	ReadOnly: true,
}

// readSubsystem reads a subsystem as what it is.
func readSubsystem(ctx context.Context, e *Env) (*found, error) {
	name := e.Step.Target
	f := &found{}
	unsupported := func(err error) bool { return err != nil && drivers.KindOf(err) == drivers.KindUnsupported }
	sw, err := e.Drivers.Switch(ctx, name)
	if !unsupported(err) {
		if err == nil {
			f.kind = "switch"
			if f.vlans, err = sw.VLANs(ctx); err == nil {
				f.ports, err = sw.Ports(ctx)
			}
			f.what = fmt.Sprintf("%d VLANs, %d ports", len(f.vlans), len(f.ports))
		}
		return f, err
	}
	lb, err := e.Drivers.Balancer(ctx, name)
	if !unsupported(err) {
		if err == nil {
			f.kind = "balancer"
			f.pools, err = lb.Pools(ctx)
			f.what = fmt.Sprintf("%d load-balancing groups", len(f.pools))
		}
		return f, err
	}
	st, err := e.Drivers.Storage(ctx, name)
	if !unsupported(err) {
		if err == nil {
			f.kind = "storage"
			f.volumes, err = st.Volumes(ctx)
			f.what = fmt.Sprintf("%d volumes", len(f.volumes))
		}
		return f, err
	}
	d, err := e.Drivers.Distributor(ctx, name)
	if err == nil {
		f.kind = "distributor"
		f.scenarios, err = d.Scenarios(ctx)
		f.what = fmt.Sprintf("%d scenarios and scripts", len(f.scenarios))
	}
	return f, err
}

// problems are the names in rows that the subsystem lacks.
func (f *found) problems(r fsm.Reader, name string) []string {
	var out []string
	switch f.kind {
	case "switch":
		for v := range fsm.Vlans.All(r) {
			for _, has := range f.vlans {
				if has.Name == v.Name && has.ID != int(v.Id) {
					out = append(out, fmt.Sprintf("it has VLAN %s under the id %d, known is %d", v.Name, has.ID, v.Id))
				}
			}
		}
		for m := range fsm.Machines.All(r) {
			for _, n := range m.Nics {
				if n.Network == name && n.Port != "" && !slices.ContainsFunc(f.ports, func(p drivers.Port) bool { return p.Name == n.Port }) {
					out = append(out, fmt.Sprintf("it has no port %s, where machine %s is said to be", n.Port, m.Name))
				}
			}
		}
	case "balancer":
		for l := range fsm.LoadBalancers.All(r) {
			pool := l.Pool
			if pool == "" {
				pool = l.Name
			}
			if l.Subsystem == name && !slices.Contains(f.pools, pool) {
				out = append(out, fmt.Sprintf("it has no group %s, which load-balancing group %s names", pool, l.Name))
			}
		}
	case "storage":
		for h := range fsm.Hosts.All(r) {
			for _, v := range h.Volumes {
				if v.Subsystem == name && !slices.ContainsFunc(f.volumes, func(x drivers.VolumeState) bool { return x.Name == v.Name }) {
					out = append(out, fmt.Sprintf("it has no volume %s, which host setting %s/%s names", v.Name, h.Group, h.Name))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// takeScenarios makes software of scenarios and scripts that have no row yet,
// and takes over the date of their content.
func takeScenarios(tx *fsm.Tx, subsystem string, list []drivers.Scenario) (added int, err error) {
	sub, ok := fsm.Subsystems.Get(tx, subsystem)
	if !ok {
		return 0, nil
	}
	kind := schema.SoftwareScenario
	if sub.Kind == "local" {
		kind = schema.SoftwareScript
	}
	for _, sc := range list {
		row, ok := fsm.SoftwareItems.Edit(tx, sc.Name)
		switch {
		case !ok:
			row = &schema.Software{Name: sc.Name, Kind: kind, Subsystem: subsystem}
			added++
		case row.Subsystem != subsystem || row.Body != "":
			continue // somebody else's, or given with its text
		}
		if !sc.Content.IsZero() {
			row.Content = timestamppb.New(sc.Content)
		}
		if err := fsm.SoftwareItems.Put(tx, row); err != nil {
			return added, err
		}
	}
	return added, nil
}

const (
	// maxReads bounds the management controllers that are read at once, readTime each.
	maxReads = 32
	readTime = 10 * time.Second
)

// machineRead is what a management controller said.
type machineRead struct {
	name  string
	power drivers.PowerState
	info  *drivers.HardwareInfo
	err   error
}

// collectMachines reads power and hardware of all physical machines that have a
// management controller. One that doesn't answer is told and stops nothing.
var collectMachines = &Step{
	Name: nameCollectMachines,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		var names []string
		for m := range fsm.Machines.All(e.Rows) {
			if m.Kind == schema.MachinePhysical && m.Bmc != nil {
				names = append(names, m.Name)
			}
		}
		reads := make([]machineRead, len(names))
		slots := make(chan struct{}, maxReads)
		var wg sync.WaitGroup
		for i, name := range names {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				reads[i] = readMachine(ctx, e, name)
			})
		}
		wg.Wait()
		e.Carry = reads
		return drivers.Done(""), nil
	}},
	Commit: func(tx *fsm.Tx, e *Env) error {
		reads := e.Carry.([]machineRead)
		var problems []string
		for _, r := range reads {
			m, ok := fsm.Machines.Edit(tx, r.name)
			if !ok || m.Status == schema.StatusInUse {
				continue // a job knows better
			}
			before := m.Power
			m.Power = power(r.power)
			if r.err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", r.name, r.err))
			}
			if r.info != nil {
				if p := contradiction(tx, m, *r.info); p != "" {
					problems = append(problems, fmt.Sprintf("%s: %s; nothing of that was taken over", r.name, p))
					if m.Power = before; m.Status == schema.StatusReady { // who knows whose power that is
						m.Status, m.StatusReason = schema.StatusAbnormal, contradicts(p)
					}
				} else {
					mergeHardware(m, *r.info, func(string) {})
					if m.Status == schema.StatusAbnormal && strings.HasPrefix(m.StatusReason, contradicted) {
						m.Status, m.StatusReason = schema.StatusReady, ""
					}
				}
			}
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		e.Job.Result = fmt.Sprintf("%d physical machines", len(reads))
		if len(problems) > 0 {
			e.set("problems", strings.Join(problems, "; "))
			e.Job.Result += fmt.Sprintf(", %d problems: %s", len(problems), strings.Join(problems, "; "))
		}
		return nil
	},
	Timeout:     10 * time.Minute,
	CallTimeout: 5 * time.Minute,
	ReadOnly:    true,
}

func readMachine(ctx context.Context, e *Env, name string) machineRead {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	out := machineRead{name: name, power: drivers.PowerUnknown}
	p, err := e.Drivers.Power(ctx, name)
	if err == nil {
		out.power, err = p.PowerState(ctx, name)
	}
	if err != nil && drivers.KindOf(err) != drivers.KindWrongMachine { // of a stranger the hardware tells who it is
		out.err = err
		return out
	}
	h, err := e.Drivers.Hardware(ctx, name)
	if err != nil {
		return out // this kind of controller doesn't tell
	}
	if info, err := h.Hardware(ctx, name); err == nil {
		out.info = &info
	} else if drivers.KindOf(err) != drivers.KindUnsupported {
		out.err = err
	}
	return out
}
