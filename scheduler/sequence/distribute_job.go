package sequence

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

const nameDistributeResult = "distribution-result"

// The four sequences that distribute software to machines as they are: what is
// registered, or what a user names [2.3, 1.5.6 to 1.5.8].
var (
	distributeToMachine = &Sequence{
		Name: fsm.SeqDistributeSoftwareToMachine, Operation: "distribute-software-to-machine", Purpose: "Distribution of software to a machine",
		Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) { return planDistributeTo(r, j, registeredToMachine) },
	}
	distributeToMachineNamed = &Sequence{
		Name: fsm.SeqDistributeSoftwareToMachineWithScenario, Operation: "distribute-software-to-machine", Purpose: "Distribution of named software to a machine",
		Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) { return planDistributeTo(r, j, named) },
	}
	distributeToGroup = &Sequence{
		Name: fsm.SeqDistributeSoftwareToMachinesInGroup, Operation: "distribute-software-to-group", Purpose: "Distribution of software to the machines of a group",
		Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) {
			return planDistributeToGroup(r, j, registeredToMachine)
		},
	}
	distributeToGroupNamed = &Sequence{
		Name: fsm.SeqDistributeSoftwareToGroupWithScenario, Operation: "distribute-software-to-group", Purpose: "Distribution of named software to the machines of a group",
		Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) { return planDistributeToGroup(r, j, named) },
	}
)

// deployment adds the steps of one machine, in a lane or in the main line.
type deployment func(r fsm.Reader, j *schema.Job, p *Plan, m *schema.Machine, lane int32) error

// planDistributeTo plans for one machine.
func planDistributeTo(r fsm.Reader, j *schema.Job, to deployment) (*Plan, error) {
	p, m, err := machinePlan(r, j.Params[fsm.ParamMachine])
	if err != nil {
		return nil, err
	}
	if want := j.Params[fsm.ParamHost]; want != "" && m.Host != want {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "it doesn't run as host %s any more", want)
	}
	if err := to(r, j, p, m, 0); err != nil {
		return nil, err
	}
	p.add(nameDistributeResult, m.Name, nil)
	return p, nil
}

// planDistributeToGroup plans for all machines that run in a group: side by
// side, or one after another, and then the first failure ends it.
func planDistributeToGroup(r fsm.Reader, j *schema.Job, to deployment) (*Plan, error) {
	group, model := j.Params[fsm.ParamGroup], j.Params[fsm.ParamModel]
	if _, ok := fsm.Groups.Get(r, group); !ok {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+group, "there is no such group")
	}
	p := &Plan{Group: group}
	for m := range fsm.Machines.By(r, fsm.ByGroup, group) {
		if m.Host == "" || model != "" && m.Model != model {
			continue
		}
		own, m, err := machinePlan(r, m.Name)
		if err != nil {
			return nil, err
		}
		for _, l := range own.Locks {
			if !slices.Contains(p.Locks, l) { // the VM server of several
				p.Locks = append(p.Locks, l)
			}
		}
		p.Targets = append(p.Targets, m.Name)
		lane := int32(len(p.Targets))
		if j.Params[fsm.ParamSequential] != "" {
			lane = 0
		}
		if err := to(r, j, p, m, lane); err != nil {
			return nil, err
		}
	}
	if len(p.Targets) == 0 {
		return nil, schema.Errorf(schema.KindTooFewHosts, "group "+group, "no machine runs in it")
	}
	p.add(nameDistributeResult, group, nil)
	return p, nil
}

// registeredToMachine distributes what is registered: all of it, what was
// chosen of it, or what the machine hasn't got yet [1.5.7, 1.5.8].
func registeredToMachine(r fsm.Reader, j *schema.Job, p *Plan, m *schema.Machine, lane int32) error {
	if m.Group == "" || m.Host == "" {
		return schema.Errorf(schema.KindTooFewHosts, "machine "+m.Name, "it is running in no group")
	}
	host, _ := fsm.Hosts.Get(r, fsm.GroupKey(m.Group, m.Host))
	registered := registeredOf(r, m)
	var run []fsm.Slot
	why, chosen := "", j.Params[fsm.ParamSoftware]
	switch {
	case len(registered) == 0:
		why = "no software is registered"
	case chosen != "":
		var err error
		if run, err = fsm.Choose(registered, strings.Split(chosen, ",")); err != nil {
			return err
		}
	case j.Params[fsm.ParamFull] != "":
		run, why = registered, "everything that is registered was asked for"
	default:
		run, _, why = fsm.Difference(m.Distributed, registered)
	}
	if len(run) == 0 {
		p.add(nameDistributeRun, m.Name, map[string]string{argSkip: why}).Lane = lane
		return nil
	}
	for i, s := range run {
		args := runArgs(r, m, host, m.Model, s)
		args[argWhy] = why
		args[argAt] = strconv.Itoa(len(registered) - len(run) + i) // what is run is the end of what is registered, or all of it
		if chosen != "" {
			args[argChosen] = "true"
		}
		p.run(nameDistributeRun, m, i, len(run), s, args).Lane = lane
	}
	return nil
}

// named distributes exactly the named software, in the order of the names. It
// leaves no trace in the machine's history [1.5.2].
func named(r fsm.Reader, j *schema.Job, p *Plan, m *schema.Machine, lane int32) error {
	host, _ := fsm.Hosts.Get(r, fsm.GroupKey(m.Group, m.Host))
	names := strings.Split(j.Params[fsm.ParamSoftware], ",")
	for i, name := range names {
		sw, ok := fsm.SoftwareItems.Get(r, name)
		if !ok || sw.Kind == schema.SoftwareTemplate {
			return schema.Errorf(schema.KindSoftware, "software "+name, "there is no such scenario or script").WithHint("pvmutl get software lists them")
		}
		s := fsm.Slot{Software: sw}
		p.run(nameDistributeNamed, m, i, len(names), s, runArgs(r, m, host, m.Model, s)).Lane = lane
	}
	return nil
}

// distributeResult tells what became of each machine; the job fails honestly
// if one didn't get all.
var distributeResult = &Step{Name: nameDistributeResult, Commit: reportDistribution}

// maxToldMachines bounds the machines that a job's error tells of one by one.
const maxToldMachines = 10

func reportDistribution(_ *fsm.Tx, e *Env) error {
	var machines, bad []string
	done, left := map[string][]string{}, ""
	for _, s := range e.Steps {
		if s.Number >= e.Step.Number {
			break
		}
		if !slices.Contains(machines, s.Target) {
			machines = append(machines, s.Target)
		}
		switch s.State {
		case schema.StepDone:
			done[s.Target] = append(done[s.Target], s.Args[argSoftware])
		case schema.StepFailed:
			bad = append(bad, fmt.Sprintf("%s: %s: %s", s.Target, s.Args[argSoftware], s.Error))
		case schema.StepSkipped:
			left = s.Skipped
		}
	}
	if len(bad) > 0 {
		told := bad[:min(len(bad), maxToldMachines)]
		text := strings.Join(told, "; ")
		if more := len(bad) - len(told); more > 0 {
			text += fmt.Sprintf("; and %d more", more)
		}
		e.Job.Result = fmt.Sprintf("software distributed to %d of %d machines", len(machines)-len(bad), len(machines))
		return &Partial{Err: schema.Errorf(schema.KindJobFailed, e.Step.Target, "%s; %s", e.Job.Result, text).
			WithHint("remove the cause, then distribute again: what was distributed is known")}
	}
	switch {
	case len(done) == 0:
		e.Job.Result = "nothing was distributed: " + left
	case len(machines) == 1:
		e.Job.Result = strings.Join(done[machines[0]], ", ") + " distributed to " + machines[0]
	default:
		e.Job.Result = fmt.Sprintf("software distributed to %d of %d machines", len(done), len(machines))
		if n := len(machines) - len(done); n > 0 {
			e.Job.Result += fmt.Sprintf("; for %d nothing was left to do", n)
		}
	}
	return nil
}
