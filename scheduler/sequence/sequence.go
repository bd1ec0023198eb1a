// Package sequence holds the action sequences: what each one locks, which
// steps it has, and how each step acts on the outside world, looks whether its
// effect is there, and takes it back. A sequence is data plus small functions;
// it never waits, retries or writes a job row. That is the runner's part.
//
// A step is one of two kinds. A step of the world has an Act: Do asks another
// system for an effect, Probe looks whether it is there. A step of the
// database has a Commit alone: it happens in the very batch that ends the step
// before it.
package sequence

import (
	"context"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
)

// Drivers opens the way to other systems by the names of rows.
type Drivers interface {
	// Hypervisor is a client of a subsystem. Errors are *drivers.Error.
	Hypervisor(ctx context.Context, subsystem string) (drivers.Hypervisor, error)
	// Power is a client of a machine's management controller. KindNotFound
	// or KindUnsupported when the machine has none.
	Power(ctx context.Context, machine string) (drivers.Power, error)
	// Hardware reads what a machine is, through its management controller.
	// KindUnsupported when nothing can tell.
	Hardware(ctx context.Context, machine string) (drivers.Hardware, error)
	// Switch, Balancer, Storage and Distributor are clients of a subsystem.
	// KindUnsupported when its kind is another.
	Switch(ctx context.Context, subsystem string) (drivers.Switch, error)
	Balancer(ctx context.Context, subsystem string) (drivers.Balancer, error)
	Storage(ctx context.Context, subsystem string) (drivers.Storage, error)
	Distributor(ctx context.Context, subsystem string) (drivers.Distributor, error)
}

// Sequence is one action sequence [2.3].
type Sequence struct {
	Name string
	// Operation names the entries of our event log (manual 7.1); empty for
	// housekeeping, which leaves none.
	Operation string
	Purpose   string // what it does, for entries that the catalog has no text for
	// Plan decides what a job of this sequence does, in the batch that starts
	// it: any choice (a host setting, a VM server) is made here, so that two
	// jobs can't make the same one. An error ends the job before it begins.
	Plan func(r fsm.Reader, j *schema.Job) (*Plan, error)
	// PlanByLoad takes the place of Plan in a sequence that goes by measured
	// loads and may take its time: it is asked on a snapshot, before the batch
	// that starts the job. Its steps verify again what they rely on.
	PlanByLoad func(r fsm.Reader, j *schema.Job, m Measured) (*Plan, error)
}

// Measured is what is known beside the rows.
type Measured struct {
	Loads map[string]planning.Load // by VM server
	Now   time.Time
}

// Plan is what a job will do.
type Plan struct {
	Locks   []string // fsm.Exclusive and fsm.Shared
	Steps   []*schema.Step
	Targets []string // machines that the job holds while it runs
	Group   string
}

// leaveOut appends a step that the flow has and this job doesn't need.
func (p *Plan) leaveOut(name, target, why string) {
	p.add(name, target, map[string]string{argSkip: why})
}

// add appends a step of the main line.
func (p *Plan) add(name, target string, args map[string]string) *schema.Step {
	s := &schema.Step{
		Number: int32(len(p.Steps) + 1), Name: name, Target: target, Args: args, State: schema.StepPending,
		Subsystem: args[argSubsystem],
	}
	p.Steps = append(p.Steps, s)
	return s
}

// Arguments and outputs of steps.
const (
	argSubsystem = "subsystem"
	argServer    = planning.ArgServer // VM server that the step works on or to
	argUUID      = "uuid"
	argWas       = "was"              // power of the machine before the job
	argForce     = "force"            // "true": without asking the guest
	argWhy       = "why"              // reason of a choice
	argFailed    = planning.ArgFailed // why a choice couldn't be made
	argFrom      = "from"
	argDatastore = "datastore"
	argTemplate  = "template"
	argConfig    = "config_path"
	argVariant   = fsm.ArgVariant // which of several ways a step of one name is carried out
	argSkip      = "skip"         // why the plan leaves the step out
	outPower     = "power"
	outConnected = "connected"
	outBoot      = "boot_time"
	outUUID      = "uuid"
)

// Step says how a step of one name is carried out.
type Step struct {
	Name string
	// Variant tells ways apart in which a step of one name is carried out;
	// empty for the only one, or the one for VMs.
	Variant string
	// Operation names the entries that our event log gets about the step (manual
	// 7.1); empty: one about its failure, by its name.
	Operation string
	// Act is the effect on the outside world; nil for a step of the database.
	Act *Act
	// Undo takes the effect back; nil when there is nothing to take back.
	Undo *Act
	// UndoCommit are the rows that change with the end of the undoing.
	UndoCommit func(tx *fsm.Tx, e *Env) error
	// UndoSkip returns why nothing has to be taken back, or "".
	UndoSkip func(e *Env) string
	// Skip returns why the step isn't needed, or "". It is asked in the batch
	// that would start the step.
	Skip func(e *Env) string
	// Commit are the rows that change with the step's end. Its error fails the step.
	Commit func(tx *fsm.Tx, e *Env) error
	// Tolerant tells whether the job goes on after this step has failed.
	Tolerant func(e *Env) bool
	// Parked says what a person must look at when the outside doesn't tell,
	// and the words with which the job goes on. nil: a general text.
	Parked func(e *Env, cause error) (text string, words []string)
	// UndoParked is the same about its undoing. nil: a general text.
	UndoParked func(e *Env, cause error) (text string, words []string)
	// Proof seeks another proof that what the step is for holds, when the system
	// that should tell is silent or can't: what proves it, or why nothing does.
	// It is asked before the job parks. nil: there is none.
	Proof func(ctx context.Context, e *Env) (proof string, err error)
	// Timeout is how long the effect may take once it was asked for.
	Timeout time.Duration
	// CallTimeout bounds one call; 0: the runner's own bound.
	CallTimeout time.Duration
	// Patience is how long another system may be silent before the job parks; 0: the runner's own.
	Patience time.Duration
	// GivesUp says that the step then fails instead: it changes nothing, and
	// whoever asked for it can ask again.
	GivesUp bool
	// Settle is how long the effect of a call whose answer was lost may take to
	// show. Only an act that isn't a state, such as a reboot, needs it: asked
	// for twice it happens twice, so the next attempt waits that long.
	Settle time.Duration
	// ReadOnly steps change nothing outside: they may be asked again at any time.
	ReadOnly bool
	// Interruptible steps may be given up while their effect is awaited.
	Interruptible bool
	// Lingers says that what was asked for may come late, even if it was found
	// taken back meanwhile: an operating system that was asked to shut down.
	Lingers bool
}

// Act is one effect on the outside world.
type Act struct {
	// Do asks for the effect.
	Do func(ctx context.Context, e *Env) (drivers.Task, error)
	// Probe looks whether the effect is there. nil: Do's word is taken, and
	// asking again is harmless.
	Probe func(ctx context.Context, e *Env) (Finding, error)
	// Task takes one look at the task that Do has returned. nil: it is one of
	// the step's hypervisor manager.
	Task func(ctx context.Context, e *Env, id string) (drivers.Task, error)
}

// Finding is what a probe saw. An error of the probe means that it couldn't tell.
type Finding struct {
	State  FindingState
	Handle string // FoundRunning: the task to wait for, if it has an id
	Part   string // FoundPart: the part that is due now
	// Free says that nothing that was asked for is still to come: the step may be
	// given up now, when its job is cancelled.
	Free bool
}

// FindingState is what a probe saw.
type FindingState int

// What a probe may see.
const (
	NotStarted FindingState = iota // the effect isn't there, nor under way as far as can be seen
	FoundRunning
	FoundDone
	// FoundPart is for an effect of two parts, such as to drain a node and then
	// to take it away: the first one is there or given up, and the second is to
	// be asked for. It gets an attempt of its own, with its own token and
	// deadline; Env.part tells Do and Probe which part they are about. Undoing
	// has no parts.
	FoundPart
)

// OutPart is the output of a step that is on its way: the part that it is about.
const OutPart = "part"

// OutProblem is the output of a step that is done: what a person must look at
// all the same. It becomes the machine's status_reason.
const OutProblem = "problem"

// OutNote is the output of a step that is done: what is worth knowing of the
// machine, though it needs nobody now. It becomes the machine's status_reason.
const OutNote = "note"

// OutProof is the output of a step: what proves its effect.
const OutProof = "proof"

// Env is what a step's functions work with.
type Env struct {
	Rows  fsm.Reader     // the state; the transaction itself in Skip, Commit and Tolerant
	Job   *schema.Job    // not to be changed, except in Commit: Result
	Step  *schema.Step   // not to be changed
	Steps []*schema.Step // all steps of the job, in order; see Own
	// Own makes a later step a copy whose arguments a Commit may change.
	Own     func(*schema.Step) *schema.Step
	Call    drivers.Call
	Drivers Drivers
	// Out becomes the step's output when it is done.
	Out map[string]string
	// Now is the time by the scheduler's clock.
	Now time.Time
	// Silent is for how long the other system has told nothing.
	Silent time.Duration
	// Word is the operator's about this step; empty: none.
	Word string
	// Answered tells a probe that the other system has said that the effect is there.
	Answered bool
	// Carry takes something too big for a row from Do to Commit.
	Carry any
}

func (e *Env) set(key, value string) {
	if e.Out == nil {
		e.Out = map[string]string{}
	}
	e.Out[key] = value
}

func (e *Env) arg(key string) string { return e.Step.Args[key] }

// part is the part of the effect that the attempt at hand is about; empty for
// the first one.
func (e *Env) part() string { return e.Step.Output[OutPart] }

// running is how long ago the step was begun.
func (e *Env) running() time.Duration { return e.Now.Sub(e.Step.Started.AsTime()) }

// hypervisor opens the subsystem of the step.
func (e *Env) hypervisor(ctx context.Context) (drivers.Hypervisor, error) {
	return e.Drivers.Hypervisor(ctx, e.Step.Subsystem)
}

// earlier returns the last step of this name before the current one, in its
// lane or in the main line.
func (e *Env) earlier(name string) *schema.Step {
	for i := len(e.Steps) - 1; i >= 0; i-- {
		s := e.Steps[i]
		if s.Number < e.Step.Number && s.Name == name && (s.Lane == 0 || s.Lane == e.Step.Lane) {
			return s
		}
	}
	return nil
}

// succeeded tells whether an earlier step of this name is done.
func (e *Env) succeeded(name string) bool {
	s := e.earlier(name)
	return s != nil && s.State == schema.StepDone
}

// failed tells whether an earlier step of this name has failed.
func (e *Env) failed(name string) bool {
	s := e.earlier(name)
	return s != nil && s.State == schema.StepFailed
}

// tokens are those of all attempts of the step so far: an effect of any of
// them is this step's own.
func (e *Env) ownToken(token string) bool {
	for n := int32(1); n <= max(e.Step.Attempt, 1); n++ {
		if token == Token(e.Job.Id, e.Step.Number, n, false) {
			return true
		}
	}
	return false
}

// Find returns the sequence of this name.
func Find(name string) (*Sequence, error) {
	if s := byName[name]; s != nil {
		return s, nil
	}
	return nil, schema.Errorf(schema.KindNotStarted, "action sequence "+name, "this version can't carry it out")
}

// StepOf returns how a step is carried out.
func StepOf(st *schema.Step) (*Step, error) {
	key := st.Name
	if v := st.Args[argVariant]; v != "" {
		key += "/" + v
	}
	if s := stepByKey[key]; s != nil {
		return s, nil
	}
	return nil, schema.Errorf(schema.KindInternal, "step "+key, "this version can't carry it out")
}

// LeftOut returns why the plan leaves a step out, or "".
func LeftOut(st *schema.Step) string { return st.Args[argSkip] }

// Keys are what a step of the world counts against while it is in flight: its
// subsystem, and the VM server that it works on.
func Keys(s *schema.Step) (subsystem, server string) {
	return s.Subsystem, s.Args[argServer]
}

// WasOn tells whether a machine was on before the job's steps worked on it.
func WasOn(steps []*schema.Step, machine string) bool {
	return powerBefore(steps, machine) == schema.PowerOn
}

// powerBefore is the power that a machine had before the job worked on it. What
// the job saw itself before it shut the machine down says more than the row at
// its start, which may lag behind.
func powerBefore(steps []*schema.Step, machine string) string {
	row, seen := "", ""
	for _, s := range steps {
		if s.Target != machine {
			continue
		}
		if row == "" {
			row = s.Args[argWas]
		}
		switch {
		case s.Name == nameCheckPower && s.State == schema.StepDone:
			seen = s.Output[outPower]
		case s.Name == nameShutdown && seen != "":
			return seen
		}
	}
	return row
}

func machineRow(r fsm.Reader, name string) (*schema.Machine, error) {
	m, ok := fsm.Machines.Get(r, name)
	if !ok {
		return nil, schema.Errorf(schema.KindTooFewMachines, "machine "+name, "there is no such machine").WithHint("pvmutl get machine lists them")
	}
	return m, nil
}

// editMachine changes a machine's row in a transaction; one that is gone meanwhile is left out.
func editMachine(tx *fsm.Tx, name string, change func(*schema.Machine)) error {
	m, ok := fsm.Machines.Edit(tx, name)
	if !ok {
		return nil
	}
	change(m)
	return fsm.Machines.Put(tx, m)
}

// Partial is the error of a Commit whose rows are written although the step
// has failed: what was reached stays told.
type Partial struct{ Err error }

// Error is the error within.
func (p *Partial) Error() string { return p.Err.Error() }

// Unwrap gives the error within.
func (p *Partial) Unwrap() error { return p.Err }
