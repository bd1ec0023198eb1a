package sequence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// A physical machine is asked to shut down, and forced off when it hasn't
// within the grace. One that is replaced because it is taken for dead gets less.
const (
	graceShutdown = 3 * time.Minute
	graceReplaced = 15 * time.Second

	partForce = "force"

	argGrace     = "grace"       // how long a machine has to shut down, from the step's start, in Go's notation
	argThenGrace = "after_grace" // what happens then
)

// stop adds the stop of a machine. Of a physical one that is asked to shut down
// it tells how long it has for that, and what comes then.
func (p *Plan) stop(j *schema.Job, m *schema.Machine, args map[string]string) *schema.Step {
	fence, wol := args[argVariant] == variantFence, m.GetBmc().GetKind() == schema.BMCWoL
	switch {
	case m.Kind != schema.MachinePhysical || args[argForce] == "true" && !(fence && wol):
		return p.add(nameShutdown, m.Name, args)
	case !wol:
		args[argThenGrace] = "it is forced off"
	case fence:
		args[argThenGrace] = "the job asks a person, unless its ports and volumes are cut off"
	default:
		args[argThenGrace] = "the step fails, since nothing can force it off"
	}
	args[argGrace] = grace(j).String()
	return p.add(nameShutdown, m.Name, args)
}

// bmcPower reads the power of the step's machine at its management controller.
func bmcPower(ctx context.Context, e *Env) (drivers.PowerState, error) {
	p, err := e.Drivers.Power(ctx, e.Step.Target)
	if err != nil {
		return drivers.PowerUnknown, err
	}
	return p.PowerState(ctx, e.Step.Target)
}

// byRule tells whether the step's machine has no management controller, but is
// woken by Wake-on-LAN and shut down by its operating system: nothing forces it
// off, and that it is off is concluded from its silence.
func byRule(e *Env) bool {
	m, _ := fsm.Machines.Get(e.Rows, e.Step.Target)
	return m.GetBmc().GetKind() == schema.BMCWoL
}

// unproven is the error of a step that needs a machine proven off which is
// switched by Wake-on-LAN. It is one that a person must look at.
func unproven(e *Env, why string) error {
	return &drivers.Error{Kind: drivers.KindUnsupported, System: schema.BMCWoL, Op: e.Step.Name, Object: e.Step.Target,
		Err: errors.New(why + ": it is switched by Wake-on-LAN and has no management controller that could tell or force it off")}
}

// bmcOff reads whether the step's machine is off, as its management controller
// tells. It is an error when only a rule says so.
func bmcOff(ctx context.Context, e *Env) (bool, error) {
	state, err := bmcPower(ctx, e)
	if err == nil && state == drivers.PowerOff && byRule(e) {
		return false, unproven(e, silentSince+", which proves nothing")
	}
	return err == nil && state == drivers.PowerOff, err
}

const silentSince = "it has not answered since it was shut down"

func setBMCPower(ctx context.Context, e *Env, op drivers.PowerOp) (drivers.Task, error) {
	p, err := e.Drivers.Power(ctx, e.Step.Target)
	if err != nil {
		return drivers.Task{}, err
	}
	return withoutID(p.SetPower(ctx, e.Call, e.Step.Target, op))
}

// stopPhysical asks a physical machine to shut down, then forces it off.
var stopPhysical = &Act{
	Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		if err := taking(e); e.arg(argHost) != "" && err != nil {
			return drivers.Task{}, err
		}
		fence := e.arg(argVariant) == variantFence
		if (e.arg(argForce) == "true" && !(fence && byRule(e))) || e.part() == partForce {
			return setBMCPower(ctx, e, drivers.OpPowerOff)
		}
		task, err := setBMCPower(ctx, e, drivers.OpShutdown)
		switch k := drivers.KindOf(err); {
		case err != nil && byRule(e):
			return task, err // nothing else stops it
		case err != nil && (k == drivers.KindRefused || k == drivers.KindUnsupported):
			return setBMCPower(ctx, e, drivers.OpPowerOff) // its operating system can't be asked
		case err != nil && k == drivers.KindBusy:
			return drivers.Task{State: drivers.TaskRunning}, nil // it has been asked already
		}
		return task, err
	},
	Probe: func(ctx context.Context, e *Env) (Finding, error) {
		state, err := bmcPower(ctx, e)
		rule := byRule(e)
		switch {
		case err != nil:
			return Finding{}, err
		case state == drivers.PowerOff && rule && e.arg(argVariant) == variantFence:
			return Finding{}, unproven(e, silentSince+", which proves nothing")
		case state == drivers.PowerOff && rule:
			e.set(OutProof, "nothing answers since it was shut down")
			return Finding{State: FoundDone}, nil
		case state == drivers.PowerOff:
			e.set(OutProof, "its management controller reads off")
			return Finding{State: FoundDone}, nil
		case rule && e.running() >= grace(e.Job) && !e.Job.Cancel:
			return Finding{}, unproven(e, "it still answers "+grace(e.Job).String()+" after it was asked to shut down")
		case (e.arg(argForce) != "true" || rule) && e.part() == "" && e.running() >= grace(e.Job):
			if e.Job.Cancel { // it hasn't listened, and nobody wants it off any more
				return Finding{State: FoundRunning, Free: true}, nil
			}
			return Finding{State: FoundPart, Part: partForce}, nil
		}
		return Finding{}, nil
	},
}

// grace is how long the machines of a job have to shut down.
func grace(j *schema.Job) time.Duration {
	if j.Params[fsm.ParamReplace] != "" {
		return graceReplaced
	}
	return graceShutdown
}

// startPhysical starts a machine. What of it is undone is forced: nothing of
// use runs on it yet.
var startPhysical = &Act{
	Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		if err := giving(e); e.arg(argHost) != "" && err != nil {
			return drivers.Task{}, err
		}
		return setBMCPower(ctx, e, drivers.OpPowerOn)
	},
	Probe: func(ctx context.Context, e *Env) (Finding, error) {
		state, err := bmcPower(ctx, e)
		if err == nil && state == drivers.PowerOn {
			return Finding{State: FoundDone}, nil
		}
		return Finding{}, err
	},
}

var forceOff = &Act{
	Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		if err := taking(e); err != nil {
			return drivers.Task{}, err
		}
		if byRule(e) {
			return setBMCPower(ctx, e, drivers.OpShutdown) // nothing else stops it
		}
		return setBMCPower(ctx, e, drivers.OpPowerOff)
	},
	Probe: func(ctx context.Context, e *Env) (Finding, error) {
		off, err := bmcOff(ctx, e)
		if off {
			return Finding{State: FoundDone}, nil
		}
		return Finding{}, err
	},
}

var startPhysicalMachine = &Step{
	Name: nameStart, Variant: variantPhysical,
	Act:        startPhysical,
	Commit:     setRowPower(schema.PowerOn),
	Undo:       forceOff,
	UndoParked: parkedOn,
	UndoCommit: setRowPower(schema.PowerOff),
	UndoSkip: func(e *Env) string {
		if e.arg(argHost) == "" {
			return "the machine may stay on"
		}
		return "" // with the host setting's name and addresses it must not
	},
	Timeout: 10 * time.Minute, // and not to be given up: a start that comes late would bring up what was taken back
}

var shutdownPhysical = &Step{
	Name: nameShutdown, Variant: variantPhysical,
	Act:           stopPhysical,
	Commit:        setRowPower(schema.PowerOff),
	Undo:          startPhysical,
	UndoCommit:    setRowPower(schema.PowerOn),
	UndoSkip:      func(e *Env) string { return notOnBefore(e) },
	Timeout:       graceShutdown + 10*time.Minute,
	Interruptible: true,
	Lingers:       true,
}

func notOnBefore(e *Env) string {
	switch {
	case e.arg(argFaulty) != "":
		return e.arg(argFaulty)
	case e.arg(argWas) != schema.PowerOn:
		return "the machine was " + e.arg(argWas) + " before"
	}
	return ""
}

// fenceMachine shuts a machine down that its host setting, with its addresses
// and volumes, is taken from: it must be proven off, by its management
// controller or by the word of a person who looked. When the controller doesn't
// tell, it is enough that the machine reaches nobody: its ports are proven out
// of every VLAN by now, and the steps that follow prove that its volumes are
// disconnected and their sessions cut before the host setting passes on.
var fenceMachine = &Step{
	Name: nameShutdown, Variant: variantFence,
	Act:   stopPhysical,
	Proof: isolated,
	Commit: func(tx *fsm.Tx, e *Env) error {
		if e.Out[OutProof] == "" {
			e.set(OutProof, "the operator's word")
		}
		power := schema.PowerOff
		switch proof := e.Out[OutProof]; {
		case strings.HasPrefix(proof, proofIsolated) && strings.HasSuffix(proof, silentSince):
			e.set(OutNote, "it was isolated, not proven off: it has not answered since it was shut down, and has no management controller")
		case strings.HasPrefix(proof, proofIsolated):
			power = schema.PowerUnknown
			e.set(OutNote, "it was isolated, not proven off, since its management controller didn't tell: see that it is off before its hardware status is set to normal")
		}
		return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
			if m.Power = power; power == schema.PowerUnknown {
				m.HardwareStatus = schema.HardwareFailed
			}
		})
	},
	Skip:        runsElsewhere,
	Undo:        startPhysical,
	UndoCommit:  setRowPower(schema.PowerOn),
	UndoSkip:    func(e *Env) string { return notOnBefore(e) },
	Parked:      parkedOn,
	Timeout:     graceShutdown + 10*time.Minute,
	CallTimeout: 5 * time.Second,
	Patience:    6 * time.Second,
}

// parkedOn asks a person about a machine that may be on.
func parkedOn(e *Env, cause error) (string, []string) {
	return fmt.Sprintf("%s can't be proven off, and its volumes and addresses stay with it until it is: %v; %s", e.Step.Target, cause, howOff(e, cause)),
		[]string{fsm.WordOff, fsm.WordRetry, fsm.WordFailed}
}

// howOff tells a person how a job goes on that needs the step's machine proven off.
func howOff(e *Env, cause error) string {
	id := e.Job.Id
	if drivers.KindOf(cause) == drivers.KindWrongMachine {
		return fmt.Sprintf("do that with pvmutl apply, then: pvmutl job resume %s retry; or see that %s itself is off, then: pvmutl job resume %s off", id, e.Step.Target, id)
	}
	return fmt.Sprintf("switch it off by hand, then: pvmutl job resume %s off; or, to ask again: pvmutl job resume %s retry", id, id)
}

const proofIsolated = "isolated: "

// isolated proves that a machine reaches nobody under the addresses of its
// host setting, whichever of its NICs has them: the ports of all are in no VLAN.
// It also sees that the job cuts it off from each of its volumes next.
func isolated(ctx context.Context, e *Env) (string, error) {
	m, err := machineRow(e.Rows, e.Step.Target)
	if err != nil {
		return "", err
	}
	h, ok := fsm.Hosts.Get(e.Rows, e.arg(argHost))
	if !ok {
		return "", errors.New("its host setting is gone")
	}
	var ports []string
	for i := range max(1, len(h.Nics), len(m.Nics)) {
		if i >= len(m.Nics) || m.Nics[i].Network == "" || m.Nics[i].Port == "" {
			return "", fmt.Errorf("nor isolated: no switch port is known for its NIC %d", i+1)
		}
		nic := m.Nics[i]
		s, err := e.Drivers.Switch(ctx, nic.Network)
		if err != nil {
			return "", fmt.Errorf("nor isolated: %w", err)
		}
		p, err := s.Port(ctx, nic.Port)
		if err != nil {
			return "", fmt.Errorf("nor isolated: %w", err)
		}
		if p.VLAN != 0 || len(p.Also) > 0 {
			return "", fmt.Errorf("nor isolated: port %s of %s is in a VLAN", nic.Port, nic.Network)
		}
		if addressed(h, i) && !takenOut(e, nic) {
			return "", fmt.Errorf("nor isolated: the job has taken port %s of %s out of no VLAN of its group, so it may reach others as before", nic.Port, nic.Network)
		}
		ports = append(ports, nic.Network+" "+nic.Port)
	}
	proof := proofIsolated + "in no VLAN by its ports " + strings.Join(ports, ", ")
	for _, v := range h.Volumes {
		if !cutsOff(e, m, v) {
			return "", fmt.Errorf("nor isolated: nothing would cut it off from volume %s of %s, since not all initiators by which it reaches it were known when the job began", v.Name, v.Subsystem)
		}
	}
	if len(h.Volumes) > 0 {
		proof += "; its volumes are cut off next"
	}
	if byRule(e) {
		if state, err := bmcPower(ctx, e); err == nil && state == drivers.PowerOff {
			proof += "; " + silentSince
		}
	}
	return proof, nil
}

// addressed tells whether a host setting gives addresses to a NIC, counted from
// 0; the primary one has some when none is set.
func addressed(h *schema.Host, nic int) bool {
	return nic == 0 || nic < len(h.Nics) && len(h.Nics[nic].Addresses) > 0
}

// takenOut tells whether the job took the port of a NIC out of a VLAN: where
// there is none for the addresses, machines reach each other in the one that a
// switch has for all ports.
func takenOut(e *Env, nic *schema.NIC) bool {
	return slices.ContainsFunc(e.Steps, func(s *schema.Step) bool {
		return s.Name == nameVLANRemove && s.Target == e.Step.Target && s.Subsystem == nic.Network && s.Args[argPort] == nic.Port &&
			s.Args[argManagement] != "true" && s.State == schema.StepDone
	})
}

// cutsOff tells whether the job disconnects a volume from all initiators of a machine.
func cutsOff(e *Env, m *schema.Machine, v *schema.Volume) bool {
	return len(m.Initiators) > 0 && slices.ContainsFunc(e.Steps, func(s *schema.Step) bool {
		known := strings.Fields(s.Args[argInitiators])
		return s.Name == nameDisconnect && s.Target == m.Name && s.Subsystem == v.Subsystem && s.Args[argVolume] == v.Name && LeftOut(s) == "" &&
			!slices.ContainsFunc(m.Initiators, func(i string) bool { return !slices.Contains(known, i) })
	})
}
