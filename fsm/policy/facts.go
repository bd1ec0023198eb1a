package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// Facts are all that a decision depends on. Gather makes them of the rows.
type Facts struct {
	Rows    fsm.Reader // what the choice of a machine is made from
	Now     time.Time
	Event   *schema.Event
	Machine *schema.Machine // the event's target; nil when none is known
	Group   *schema.Group   // group that the target runs in, or in whose pool it waits
	Pool    bool            // the target waits in the pool of Group
	Policy  *schema.Policy  // in force for the target; nil for none
	From    string          // where the policy is set, such as "model web/web-vm"
	Rule    *schema.PolicyRule
	// Disarmed says since when, by whom and why automation is off for the
	// target's group; empty while it is on.
	Disarmed string
	// Due says that the time is over for which the event waited for a recovery.
	Due bool
	// Late says why the event tells of another machine than the one that now
	// has the host; empty for all others.
	Late string
	// Running are the jobs that automation has started and that aren't over.
	Running []*schema.Job
	Limits  Limits
	// Storm says of which storm of inaccessible machines the event is a part, Flaps
	// how often the fault has come within the rule's time, this time included.
	Storm string
	Flaps int
	// Held says why the target isn't replaced again so soon.
	Held string
	// MovedBy is the job that takes the VMs off the target already, if there is
	// one, ReplacedBy the one that replaces it, and WorkedOnBy one during which it
	// may not answer.
	MovedBy, ReplacedBy, WorkedOnBy string
	// ShutDown says when a job shut the target down, empty while it isn't off
	// on purpose: that such a machine doesn't answer is no fault.
	ShutDown string
	// Placement tells whether VM placement is on for the target's model, and
	// PlacedBy is the job that rearranges the VMs of that model already.
	Placement bool
	PlacedBy  string

	status string          // hardware status that an earlier action of the rule gives the target
	jobs   []*schema.Job   // jobs of earlier actions of the rule
	leave  map[string]bool // see leaving
}

// group is the name of the group that is concerned.
func (f *Facts) group() string { return f.Group.GetName() }

// Gather makes the facts of an event of the rows. now is the present, due that
// the event has waited for a recovery in vain.
func Gather(r fsm.Reader, e *schema.Event, now time.Time, due bool) Facts {
	f := Facts{Rows: r, Now: now, Event: e, Due: due}
	m, ok := fsm.Machines.Get(r, e.Target)
	if !ok {
		return f
	}
	f.Machine = m
	f.policy()
	if f.Policy == nil {
		return f
	}
	if f.Rule = RuleFor(f.Policy, e, Since(e)); f.Rule == nil {
		return f // most events: the rest isn't asked for
	}
	if armed, d, where := fsm.ArmedState(r, f.group()); !armed {
		f.Disarmed = fmt.Sprintf("%s disarmed the %s at %s (%s)", d.By, where, clock(d.Since.AsTime()), d.Reason)
	}
	f.Limits = LimitsOf(fsm.Settings(r), f.Group)
	live := fsm.LiveJobs(r)
	for _, j := range live {
		f.live(j)
	}
	f.ShutDown = ShutDown(r, m)
	f.Placement = PlacementOf(r, m) != nil
	f.Late, f.Held = f.replaced()
	if Inaccessible(e) {
		f.Storm = stormOf(fsm.Settings(r), e)
	}
	f.Flaps = flaps(r, f.Rule, e)
	return f
}

// policy finds the policy in force: of the model, else of the group. For a
// machine that waits in pools it is that of the first group that has one.
func (f *Facts) policy() {
	m := f.Machine
	if m.Group != "" {
		f.Group, _ = fsm.Groups.Get(f.Rows, m.Group)
		f.Policy, f.From = InForce(f.Rows, m)
		return
	}
	for _, name := range m.PoolGroups {
		g, _ := fsm.Groups.Get(f.Rows, name)
		if p, ok := fsm.Policies.Get(f.Rows, g.GetPolicy()); ok {
			f.Group, f.Pool, f.Policy, f.From = g, true, p, "group "+name
			return
		}
	}
}

// InForce is the policy in force for a machine that runs in a group, and where
// it is set: its model's, else its group's.
func InForce(r fsm.Reader, m *schema.Machine) (*schema.Policy, string) {
	if mo, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok && mo.Policy != "" {
		if p, ok := fsm.Policies.Get(r, mo.Policy); ok {
			return p, "model " + m.Group + "/" + m.Model
		}
	}
	if g, ok := fsm.Groups.Get(r, m.Group); ok && g.Policy != "" {
		if p, ok := fsm.Policies.Get(r, g.Policy); ok {
			return p, "group " + m.Group
		}
	}
	return nil, ""
}

// silencing are the sequences during which the machine that they work on may not answer.
var silencing = []string{
	fsm.SeqStartupMachine, fsm.SeqShutdownMachine, fsm.SeqRebootMachine, fsm.SeqSuspendMachine, fsm.SeqMoveFromGroupToPool, fsm.SeqMoveFromGroupToManaged,
	fsm.SeqMoveFromPoolToGroup, fsm.SeqMoveFromManagedToGroup, fsm.SeqMoveMasterMachineToGroup, fsm.SeqChangeServerGroup, fsm.SeqDeleteVirtualMachine,
	fsm.SeqDistributeSoftwareToMachine, fsm.SeqDistributeSoftwareToMachinesInGroup, fsm.SeqDistributeSoftwareToGroupWithScenario,
	fsm.SeqDistributeSoftwareToMachineWithScenario, fsm.SeqMoveMachine, fsm.SeqCreateMachineToGroup, fsm.SeqTakeOverMachine,
}

// live takes a job that isn't over into account.
func (f *Facts) live(j *schema.Job) {
	m := f.Machine
	if j.Event != "" {
		f.Running = append(f.Running, j)
	}
	if j.Started != nil && slices.Contains(silencing, j.Sequence) && slices.Contains(j.Targets, m.Name) {
		f.WorkedOnBy = j.Id
	}
	server := j.Params[fsm.ParamVMServer]
	switch {
	case j.Sequence == fsm.SeqTakeOverMachine && j.Params[fsm.ParamMachine] == m.Name:
		f.ReplacedBy = j.Id
	case (j.Sequence == fsm.SeqFailoverVMServer || j.Sequence == fsm.SeqEvacuate) && server == m.Name:
		f.MovedBy = j.Id
	case j.Sequence == fsm.SeqLoadBalanceVMServer || j.Sequence == fsm.SeqPowerSaveVMServer:
		if s, ok := fsm.Machines.Get(f.Rows, server); ok && s.Group == m.Group && s.Model == m.Model && m.Kind == schema.MachineVMServer {
			f.PlacedBy = j.Id
		}
	}
}

// PlacementOf is the setting that a VM server's load is held against, nil when there is none.
func PlacementOf(r fsm.Reader, m *schema.Machine) *schema.Placement {
	if m.Kind != schema.MachineVMServer || m.Gone || m.Subsystem == "" || m.Model == "" {
		return nil
	}
	if mo, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok && mo.Placement.GetEnabled() {
		return mo.Placement
	}
	return nil
}

// jobLook bounds how many of the newest jobs are looked through for one that explains something.
const jobLook = 2000

// ShutDown says by which job and when a machine was shut down on purpose, ""
// for one that wasn't. A VM server with a VM that ran when it went off has failed.
func ShutDown(r fsm.Reader, m *schema.Machine) string {
	if m.Power != schema.PowerOff && m.Power != schema.PowerSuspended {
		return ""
	}
	if m.Kind == schema.MachineVMServer {
		if m.Connected || m.Switched == nil {
			return ""
		}
		for vm := range fsm.Machines.By(r, fsm.ByServer, m.Name) {
			if vm.Power == schema.PowerOn {
				return ""
			}
		}
		return "a job shut it down at " + clock(m.Switched.AsTime())
	}
	looked := 0
	for j := range fsm.Jobs.Backward(r) {
		if looked++; looked > jobLook {
			break
		}
		if j.State != schema.JobSucceeded || !slices.Contains(j.Targets, m.Name) {
			continue
		}
		switch {
		case j.Sequence == fsm.SeqShutdownMachine || j.Sequence == fsm.SeqSuspendMachine:
			return fmt.Sprintf("job %s (%s) saw to that at %s", j.Id, j.Sequence, clock(j.Ended.AsTime()))
		case j.Sequence != fsm.SeqMoveMachine && slices.Contains(silencing, j.Sequence):
			return "" // it was on after that
		}
	}
	return ""
}

// replaced says whether the event tells of the machine that had the host
// before, and else why the one that has it now isn't replaced again so soon.
func (f *Facts) replaced() (late, held string) {
	m := f.Machine
	if m.Replaced == nil || m.Host == "" {
		return "", ""
	}
	at, received := m.Replaced.AsTime(), Since(f.Event)
	age := f.Now.Sub(at)
	// By its own name an event is about the machine itself, unless it says that
	// it didn't answer: it waited in the pool then.
	if received.Before(at) && (Inaccessible(f.Event) || f.Event.TargetHint != m.Name) {
		return fmt.Sprintf("it was received at %s, before %s took over host %s at %s%s: it tells of the machine before it",
			clock(received), m.Name, m.Host, clock(at), f.takenBy()), ""
	}
	if age < f.Limits.Hold {
		return "", fmt.Sprintf("%s took over host %s %s ago%s, and a host isn't replaced again by itself within %s", m.Name, m.Host, max(age, 0).Round(time.Second), f.takenBy(), f.Limits.Hold)
	}
	return "", ""
}

// takenBy names the job by which the target took over its host.
func (f *Facts) takenBy() string {
	looked := 0
	for j := range fsm.Jobs.Backward(f.Rows) {
		if looked++; looked > jobLook {
			break
		}
		if j.Sequence == fsm.SeqTakeOverMachine && j.Params[fsm.ParamHost] == f.Machine.Host && j.Group == f.Machine.Group && j.Started != nil {
			return " by job " + j.Id
		}
	}
	return ""
}

// clock is a time as texts have it.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// names joins names, the first of many.
func names(list []string, n int) string {
	const most = 8
	if len(list) > most {
		list = list[:most]
	}
	s := strings.Join(list, ", ")
	if n > len(list) {
		s += fmt.Sprintf(" and %d more", n-len(list))
	}
	return s
}
