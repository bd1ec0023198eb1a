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

var (
	distributeRun     = distributeStep(nameDistributeRun)
	distributeStandby = distributeStep(nameDistributeStandby)
	distributeNamed   = distributeStep(nameDistributeNamed)
	distributeFaulty  = func() *Step {
		s := distributeStep(nameDistributeStandby)
		s.Variant, s.Patience, s.GivesUp, s.Parked = variantFaulty, 20*time.Second, true, nil
		return s
	}()
)

// runPatience is how long a machine may take to answer before a run begins: it
// may be starting; and how long one may be silent while it runs: a scenario may
// restart it.
const runPatience = 15 * time.Minute

// repeatAfter is how long a run that may be repeated may be out of sight before it is.
const repeatAfter = 30 * time.Second

// distributeStep is the run of one software for one machine. A run is an act:
// once begun it is followed to its end by whoever leads, never begun again
// unless it is proven not to have begun, the software may be repeated, or a
// person says so.
func distributeStep(name string) *Step {
	return &Step{
		Name: name, Operation: "distribute-software",
		Act:      &Act{Do: startRun, Probe: probeRun, Task: lookAtRun},
		Commit:   commitRun,
		Undo:     &Act{Do: endRun, Probe: probeRunEnded},
		UndoSkip: undoRunSkip,
		Tolerant: func(e *Env) bool {
			// An old machine that can't be cleaned up doesn't keep the substitute from its work.
			return name == nameDistributeStandby && (e.Job.Sequence == fsm.SeqTakeOverMachine || e.arg(argVariant) == variantFaulty)
		},
		Parked:        parkedRun,
		Patience:      runPatience,
		Interruptible: true,
	}
}

// distributor opens the subsystem of the step.
func (e *Env) distributor(ctx context.Context) (drivers.Distributor, error) {
	if e.Step.Subsystem == "" {
		return nil, schema.Errorf(schema.KindSoftware, "software "+e.arg(argSoftware), "no subsystem is set that runs it, nor is there one of the kind local").
			WithHint("set subsystem on it, one of the kind ansible, ssh or local")
	}
	return e.Drivers.Distributor(ctx, e.Step.Subsystem)
}

// runOf is what the step asks for, at the place where the attempt at hand
// looks for the machine.
func runOf(e *Env) (drivers.Run, error) {
	sw, ok := fsm.SoftwareItems.Get(e.Rows, e.arg(argSoftware))
	if !ok {
		return drivers.Run{}, schema.Errorf(schema.KindSoftware, "software "+e.arg(argSoftware), "it is gone")
	}
	m, err := machineRow(e.Rows, e.Step.Target)
	if err != nil {
		return drivers.Run{}, err
	}
	host, _ := fsm.Hosts.Get(e.Rows, e.arg(argHost))
	run := drivers.Run{
		Name: sw.Name, Body: sw.Body, Object: sw.Object, Machine: m.Name, Vars: variables(m, host), Identity: identity(m, host),
		Timeout: time.Duration(sw.TimeoutSeconds) * time.Second,
	}
	if run.Timeout <= 0 {
		run.Timeout = drivers.DefaultRunTimeout
	}
	if at := addresses(e, m, host); len(at) > 0 {
		run.Address = at[int(max(e.Step.Attempt, 1)-1)%len(at)]
	}
	return run, nil
}

// addresses are where the machine's operating system may be reached, the
// likelier one first. Each attempt takes the next: a machine that is being
// brought under a host setting has its own address until the software gives it
// that of the host setting.
func addresses(e *Env, m *schema.Machine, host *schema.Host) []string {
	var out []string
	for _, n := range host.GetNics() {
		if len(n.Addresses) > 0 {
			out = append(out, n.Addresses[0].Ip)
			break
		}
	}
	if m.Address != "" {
		out = append(out, m.Address)
	}
	if e.arg(argFresh) != "" {
		slices.Reverse(out)
	}
	return slices.Compact(out)
}

func startRun(ctx context.Context, e *Env) (drivers.Task, error) {
	if e.arg(argFresh) != "" {
		if err := giving(e); err != nil {
			return drivers.Task{}, err
		}
	}
	d, err := e.distributor(ctx)
	if err != nil {
		return drivers.Task{}, err
	}
	run, err := runOf(e)
	if err != nil {
		return drivers.Task{}, err
	}
	task, err := d.Start(ctx, e.Call, run)
	if err != nil {
		if drivers.KindOf(err) == drivers.KindUnreachable && e.arg(argFresh) != "" {
			wake(ctx, e)
		}
		return task, err
	}
	// However quick it was: its output and its end are read by lookAtRun.
	return drivers.Task{ID: task.ID, State: drivers.TaskRunning}, nil
}

// wake switches on the machine that software is to be installed on, if it is
// off: the flows start it only afterwards. What goes wrong shows as the
// machine's silence.
func wake(ctx context.Context, e *Env) {
	if state, _, err := runPower(ctx, e); err == nil && state == drivers.PowerOff {
		_, _ = setPower(ctx, e.onMachine(), drivers.OpPowerOn)
	}
}

// onMachine is the step's environment for calls about the machine's power: its
// subsystem is then the one that the machine belongs to.
func (e *Env) onMachine() *Env {
	own := *e
	st := &schema.Step{Job: e.Step.Job, Number: e.Step.Number, Name: e.Step.Name, Target: e.Step.Target, Args: map[string]string{argUUID: e.arg(argUUID)}}
	if m, ok := fsm.Machines.Get(e.Rows, e.Step.Target); ok {
		st.Subsystem = m.Subsystem
	}
	own.Step = st
	return &own
}

func runPower(ctx context.Context, e *Env) (drivers.PowerState, time.Time, error) {
	return powerOf(ctx, e.onMachine())
}

// probeRun looks for the run that the attempt at hand began.
func probeRun(ctx context.Context, e *Env) (Finding, error) {
	if e.Answered {
		return Finding{State: FoundDone}, nil
	}
	id, err := findRun(ctx, e)
	switch {
	case err != nil && e.mayRepeat(err):
		return Finding{}, nil
	case err != nil:
		return Finding{}, err
	case id != "":
		return Finding{State: FoundRunning, Handle: id}, nil
	case e.Step.State == schema.StepHandled && !e.mayRepeat(nil):
		return Finding{}, e.lost("what tells of it there is gone")
	}
	return Finding{}, nil
}

// findRun looks for the attempt's run, wherever the machine may be reached.
func findRun(ctx context.Context, e *Env) (string, error) {
	d, err := e.distributor(ctx)
	if err != nil {
		return "", err
	}
	run, err := runOf(e)
	if err != nil {
		return "", err
	}
	id, err := d.Find(ctx, e.Step.Token, run)
	if err == nil || drivers.KindOf(err) != drivers.KindUnreachable {
		return id, err
	}
	m, _ := fsm.Machines.Get(e.Rows, e.Step.Target)
	host, _ := fsm.Hosts.Get(e.Rows, e.arg(argHost))
	for _, at := range addresses(e, m, host) {
		if at == run.Address {
			continue
		}
		run.Address = at
		if id, second := d.Find(ctx, e.Step.Token, run); second == nil {
			return id, nil
		}
	}
	return "", err
}

// lookAtRun takes one look at the run. A machine that has changed its address
// since is looked for at the other one.
func lookAtRun(ctx context.Context, e *Env, id string) (drivers.Task, error) {
	if e.Word == fsm.WordAgain {
		return drivers.Task{ID: id, State: drivers.TaskUnknown}, nil
	}
	d, err := e.distributor(ctx)
	if err != nil {
		return drivers.Task{}, err
	}
	task, err := d.Task(ctx, id)
	if err == nil || drivers.KindOf(err) != drivers.KindUnreachable {
		return task, err
	}
	if other, second := findRun(ctx, e); second == nil && other != "" && other != id {
		return d.Task(ctx, other)
	}
	if e.mayRepeat(err) {
		return drivers.Task{ID: id, State: drivers.TaskUnknown}, nil
	}
	return task, err
}

// mayRepeat tells whether a run that is out of sight may be begun again.
func (e *Env) mayRepeat(why error) bool {
	if e.Word == fsm.WordAgain {
		return true
	}
	if sw, _ := fsm.SoftwareItems.Get(e.Rows, e.arg(argSoftware)); !sw.GetRepeatable() {
		return false
	}
	return why == nil || drivers.KindOf(why) == drivers.KindUnknown || drivers.KindOf(why) == drivers.KindUnreachable && e.Silent >= repeatAfter
}

func (e *Env) lost(why string) error {
	return &drivers.Error{Kind: drivers.KindUnknown, System: e.Step.Subsystem, Op: e.Step.Name, Object: e.arg(argSoftware) + " " + e.Step.Target, Err: errors.New(why)}
}

// parkedRun asks a person about a run that nobody can tell of.
func parkedRun(e *Env, cause error) (string, []string) {
	sw, m, id := e.arg(argSoftware), e.Step.Target, e.Job.Id
	switch drivers.KindOf(cause) {
	case drivers.KindUnreachable, drivers.KindUnknown, drivers.KindBusy, drivers.KindExpired:
	default:
		words := []string{fsm.WordRetry, fsm.WordDone, fsm.WordFailed}
		return fmt.Sprintf("software %s wasn't run for %s: %v; remove the cause, then: pvmutl job resume %s {%s}", sw, m, cause, id, strings.Join(words, "|")), words
	}
	words := []string{fsm.WordRetry, fsm.WordDone, fsm.WordAgain, fsm.WordFailed}
	return fmt.Sprintf("nothing tells whether software %s was run for %s: %v; look there, then: pvmutl job resume %s {%s} (again runs it once more)",
		sw, m, cause, id, strings.Join(words, "|")), words
}

// undoRunSkip: what software has done can't be taken back. A run that is under
// way is ended, and a machine that was off and has been switched on for it is
// switched off again.
func undoRunSkip(e *Env) string {
	if e.Step.State == schema.StepFailed && e.Step.ErrorKind == string(schema.KindCancelled) || switchedOn(e) {
		return ""
	}
	return "what software has done can't be taken back"
}

// switchedOn tells whether the step may have switched the machine on, and no
// later step has done that by itself.
func switchedOn(e *Env) bool {
	if e.arg(argFresh) == "" || e.arg(argWas) != schema.PowerOff {
		return false
	}
	sub, _ := fsm.Subsystems.Get(e.Rows, e.Step.Subsystem)
	if kind := sub.GetKind(); kind != "ssh" && kind != "ansible" {
		return false // it works without the machine
	}
	return !slices.ContainsFunc(e.Steps, func(s *schema.Step) bool {
		return s.Name == nameStart && s.Target == e.Step.Target && s.Attempt > 0
	})
}

func endRun(ctx context.Context, e *Env) (drivers.Task, error) {
	id, err := begunRun(ctx, e)
	if err != nil {
		return drivers.Task{}, err
	}
	if id != "" {
		d, err := e.distributor(ctx)
		if err != nil {
			return drivers.Task{}, err
		}
		if err := d.Cancel(ctx, e.Call, id); err != nil && drivers.KindOf(err) != drivers.KindNotFound {
			return drivers.Task{}, err
		}
	}
	if switchedOn(e) {
		own := e.onMachine()
		own.Call = e.Call
		return drivers.Done(""), setOff(ctx, own)
	}
	return drivers.Done(""), nil
}

func setOff(ctx context.Context, e *Env) error {
	_, err := setPower(ctx, e, drivers.OpPowerOff)
	return err
}

// begunRun is the run of the step's last attempt; "" when there was none.
func begunRun(ctx context.Context, e *Env) (string, error) {
	if e.Step.State != schema.StepFailed || e.Step.ErrorKind != string(schema.KindCancelled) {
		return "", nil // it is over
	}
	if e.Step.Handle != "" {
		return e.Step.Handle, nil
	}
	return findRun(ctx, e)
}

func probeRunEnded(ctx context.Context, e *Env) (Finding, error) {
	id, err := begunRun(ctx, e)
	if err != nil {
		return Finding{}, err
	}
	if id != "" {
		d, err := e.distributor(ctx)
		if err != nil {
			return Finding{}, err
		}
		task, err := d.Task(ctx, id)
		if err != nil || task.State == drivers.TaskRunning {
			return Finding{}, err
		}
	}
	if switchedOn(e) {
		if state, _, err := runPower(ctx, e); err != nil || state != drivers.PowerOff {
			return Finding{}, err
		}
	}
	return Finding{State: FoundDone}, nil
}
