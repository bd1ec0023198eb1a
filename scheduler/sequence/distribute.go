package sequence

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// Names of the steps that distribute software: run-time and standby-time
// software by registration, and software that a user names.
const (
	nameDistributeRun     = "distribute-run-software"
	nameDistributeStandby = "distribute-standby-software"
	nameDistributeNamed   = "distribute-software"

	// variantFaulty is the distribution to a machine that is broken or being
	// replaced: it is tried, and nothing waits long for it.
	variantFaulty = "faulty"
)

// Arguments and outputs of a distribution step.
const (
	argSoftware = "software"
	argSlot     = "slot"    // registration slot, such as "group/run"
	argContent  = "content" // date of the content when the job was planned, RFC 3339
	argAt       = "at"      // place among what is registered, from 0: the machine's history goes by it
	argChosen   = "chosen"  // "true": named among what is registered
	argFresh    = "fresh"   // "true": the machine is being brought under its host setting

	outSoftware = "software"
)

// distribute adds the distribution of all that is registered for a machine in
// a phase: a step for each software, in the order of the slots [1.5.5], or one
// that is left out. m need not have a row yet; host may be nil.
func (p *Plan) distribute(r fsm.Reader, phase string, m *schema.Machine, host *schema.Host, model, group string) {
	name := nameDistributeRun
	if phase == fsm.PhaseStandby {
		name = nameDistributeStandby
	}
	if mo, _ := fsm.Models.Get(r, fsm.GroupKey(group, model)); phase == fsm.PhaseRun && m.GetKind() == schema.MachineVM && !mo.GetRegisterDpm() {
		p.leaveOut(name, m.Name, "the model doesn't have its VMs registered for distribution (register_dpm)") // [1.11.6]
		return
	}
	slots := fsm.Registered(r, m, host, model, group, phase)
	if len(slots) == 0 {
		p.leaveOut(name, m.GetName(), "no software is registered")
		return
	}
	for i, s := range slots {
		args := runArgs(r, m, host, model, s)
		args[argAt] = strconv.Itoa(i)
		switch {
		case phase == fsm.PhaseRun:
			args[argFresh] = "true"
		case m.GetHardwareStatus() == schema.HardwareFailed:
			args[argVariant] = variantFaulty
		}
		p.run(name, m, i, len(slots), s, args)
	}
}

// dontWaitFor lets the job go on soon when the machine doesn't answer its
// standby software: the one that is being replaced may be dead for all we know.
func (p *Plan) dontWaitFor(machine string) {
	for _, s := range p.Steps {
		if s.Name == nameDistributeStandby && s.Target == machine && s.Args[argSkip] == "" {
			s.Args[argVariant] = variantFaulty
		}
	}
}

// run adds the distribution of one software.
func (p *Plan) run(name string, m *schema.Machine, i, of int, s fsm.Slot, args map[string]string) *schema.Step {
	st := p.add(name, m.GetName(), args)
	st.Description = fmt.Sprintf("%s (%d of %d)", s.Name(), i+1, of)
	if s.Slot != "" {
		st.Description = fmt.Sprintf("%s (%d of %d, %s)", s.Name(), i+1, of, s.Key())
	}
	return st
}

// runArgs are the arguments that every distribution step has.
func runArgs(r fsm.Reader, m *schema.Machine, host *schema.Host, model string, s fsm.Slot) map[string]string {
	args := map[string]string{
		argSubsystem: distributorOf(r, s.Software), argSoftware: s.Name(), argUUID: m.GetUuid(), argWas: m.GetPower(), argModel: model,
	}
	if s.Slot != "" {
		args[argSlot] = s.Key()
	}
	if host != nil {
		args[argHost] = fsm.GroupKey(host.Group, host.Name)
	}
	if c := s.Software.GetContent(); c != nil {
		args[argContent] = c.AsTime().UTC().Format(time.RFC3339Nano)
	}
	return args
}

// kindLocal is the kind of subsystem that runs scripts on the managers.
const kindLocal = "local"

// distributorOf is the subsystem that runs a piece of software. A script that
// names none is a local script: the manual's have none [1.7.1].
func distributorOf(r fsm.Reader, sw *schema.Software) string {
	if sw.GetSubsystem() != "" || sw.GetKind() != schema.SoftwareScript {
		return sw.GetSubsystem()
	}
	for s := range fsm.Subsystems.All(r) {
		if s.Kind == kindLocal {
			return s.Name
		}
	}
	return ""
}

// slotOf is the entry of what is registered that a step distributes, with the
// content that the plan saw.
func slotOf(st *schema.Step) (fsm.Slot, error) {
	sw := &schema.Software{Name: st.Args[argSoftware]}
	if text := st.Args[argContent]; text != "" {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return fsm.Slot{}, schema.Errorf(schema.KindInternal, st.Target, "the date of the content of %s: %v", sw.Name, err)
		}
		sw.Content = timestamppb.New(t)
	}
	target, slot, _ := strings.Cut(st.Args[argSlot], "/")
	return fsm.Slot{Target: target, Slot: slot, Software: sw}, nil
}

// commitRun notes what was distributed: run-time software by registration in
// the machine's history, nothing else [1.5.2, 1.5.4].
func commitRun(tx *fsm.Tx, e *Env) error {
	e.set(outSoftware, e.arg(argSoftware))
	if e.Step.Name != nameDistributeRun {
		return nil
	}
	s, err := slotOf(e.Step)
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(e.arg(argAt))
	if err != nil {
		return schema.Errorf(schema.KindInternal, e.Step.Target, "the place of %s: %v", s.Name(), err)
	}
	var registered []fsm.Slot
	if m, ok := fsm.Machines.Get(tx, e.Step.Target); ok && e.arg(argChosen) != "" {
		registered = registeredOf(tx, m)
	}
	return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
		if e.arg(argChosen) != "" {
			fsm.RecordChosen(m, registered, s, tx.Now())
			return
		}
		fsm.RecordDistributed(m, at, s, tx.Now())
	})
}

// registeredOf is the run-time software registered for a machine that runs in a group.
func registeredOf(r fsm.Reader, m *schema.Machine) []fsm.Slot {
	h, _ := fsm.Hosts.Get(r, fsm.GroupKey(m.Group, m.Host))
	return fsm.Registered(r, m, h, m.Model, m.Group, fsm.PhaseRun)
}
