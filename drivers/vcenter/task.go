package vcenter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// plan is what a look led to: the wanted state is there, or what to send.
type plan struct {
	done   bool
	result string
	// send makes the one request that changes something. It returns the task,
	// or an id of the driver's own for what vCenter doesn't make a task of, or
	// neither when all is done.
	send func(ctx context.Context) (task ref, id string, err error)
}

var done = plan{done: true}

// start is a plan of one request that vCenter makes a task of.
func start[R any](f func(ctx context.Context) (*R, error), task func(*R) ref) plan {
	return plan{send: func(ctx context.Context) (ref, string, error) {
		res, err := f(ctx)
		if err != nil {
			return ref{}, "", err
		}
		return task(res), "", nil
	}}
}

// effect is the one way in which the driver changes something: look, then send
// at most one request, not after the call's deadline.
func (d *Driver) effect(ctx context.Context, call drivers.Call, op, object string, look func(context.Context, *vim25.Client) (plan, error)) (drivers.Task, error) {
	reading, sending := request{op, object, false}, request{op, object, true}
	expired := func() error {
		if call.Expired(time.Now()) {
			return d.errorf(drivers.KindExpired, reading, "%w", call.Late())
		}
		return nil
	}
	if err := expired(); err != nil {
		return drivers.Task{}, err
	}
	ctx, cancel := call.Context(ctx)
	defer cancel()
	var out drivers.Task
	err := d.do(ctx, reading, func(ctx context.Context, c *vim25.Client) error {
		p, err := look(ctx, c)
		if err != nil {
			return err
		}
		if p.done {
			out = drivers.Done(p.result)
			return nil
		}
		if err := expired(); err != nil {
			return err
		}
		if call.Token != "" {
			// vCenter logs the operation id, and shows it on the task.
			ctx = context.WithValue(ctx, types.ID{}, call.Token)
		}
		task, id, err := p.send(ctx)
		if own, ok := d.ownTask(ctx, c, call, err); ok {
			task, err = own, nil
		}
		if err != nil {
			return d.wrap(sending, err)
		}
		if task.Value != "" {
			id = task.Value
		}
		out = drivers.Task{ID: id, State: drivers.TaskRunning}
		if id == "" {
			out = drivers.Done("")
		}
		return nil
	})
	return out, err
}

// ownTask tells whether what keeps vCenter from starting a task is the task
// that this very call started when it was made before.
func (d *Driver) ownTask(ctx context.Context, c *vim25.Client, call drivers.Call, err error) (ref, bool) {
	f, ok := faultOf(err).(*types.TaskInProgress)
	if !ok || call.Token == "" {
		return ref{}, false
	}
	info, err := taskInfo(ctx, c, f.Task)
	return f.Task, err == nil && info.ActivationId == call.Token
}

// guestShutdown starts the ids of graceful shutdowns, which vCenter makes no
// task of: the rest is the VM's UUID, and its power tells whether it is over.
const guestShutdown = "guest-shutdown:"

// Task implements drivers.Hypervisor. It also answers the question that
// vCenter may put when a VM starts after a failover: it was moved, not copied,
// so it keeps its identity.
func (d *Driver) Task(ctx context.Context, id string) (drivers.Task, error) {
	if uuid, ok := strings.CutPrefix(id, guestShutdown); ok {
		v, err := d.VM(ctx, uuid)
		switch {
		case drivers.KindOf(err) == drivers.KindNotFound && err != nil:
			return drivers.Task{ID: id, State: drivers.TaskUnknown}, nil
		case err != nil:
			return drivers.Task{}, err
		case v.Power == drivers.PowerOff:
			return drivers.Task{ID: id, State: drivers.TaskDone, Progress: 100}, nil
		}
		return drivers.Task{ID: id, State: drivers.TaskRunning}, nil
	}
	r := request{"read-task", id, false}
	out := drivers.Task{ID: id, State: drivers.TaskUnknown}
	err := d.do(ctx, r, func(ctx context.Context, c *vim25.Client) error {
		info, err := taskInfo(ctx, c, ref{Type: "Task", Value: id})
		if _, gone := faultOf(err).(*types.ManagedObjectNotFound); gone {
			return nil
		}
		if err != nil {
			return err
		}
		out, err = d.look(ctx, c, info)
		return err
	})
	return out, err
}

func taskInfo(ctx context.Context, c *vim25.Client, r ref) (*types.TaskInfo, error) {
	var t mo.Task
	err := property.DefaultCollector(c).RetrieveOne(ctx, r, []string{"info"}, &t)
	return &t.Info, err
}

// look translates what vCenter says of a task.
func (d *Driver) look(ctx context.Context, c *vim25.Client, info *types.TaskInfo) (drivers.Task, error) {
	out := drivers.Task{ID: info.Task.Value, State: drivers.TaskRunning, Progress: int(info.Progress)}
	switch info.State {
	case types.TaskInfoStateSuccess:
		out.State, out.Progress = drivers.TaskDone, 100
		made, ok := info.Result.(ref)
		if !ok || made.Type != "VirtualMachine" {
			return out, nil
		}
		var vm mo.VirtualMachine
		err := property.DefaultCollector(c).RetrieveOne(ctx, made, []string{"config.instanceUuid"}, &vm)
		if err != nil {
			if _, gone := faultOf(err).(*types.ManagedObjectNotFound); gone {
				return out, nil
			}
			return drivers.Task{}, err
		}
		if vm.Config != nil {
			out.Result = vm.Config.InstanceUuid
		}
	case types.TaskInfoStateError:
		out.State = drivers.TaskFailed
		out.Err = d.taskError(request{op: info.DescriptionId, object: info.EntityName}, info.Error)
	default:
		if info.Entity != nil && info.Entity.Type == "VirtualMachine" && strings.EqualFold(info.DescriptionId, "VirtualMachine.powerOn") {
			return out, answerMoved(ctx, c, *info.Entity)
		}
	}
	return out, nil
}

// The question about a VM whose files appear elsewhere, and its answer. The
// keys are those of the messages, which don't depend on the language.
const (
	movedQuestion = "msg.uuid.altered"
	movedAnswer   = "button.uuid.movedTheVM"
)

// answerMoved answers the question whether a VM was moved or copied, if it is put.
func answerMoved(ctx context.Context, c *vim25.Client, vm ref) error {
	var m mo.VirtualMachine
	if err := property.DefaultCollector(c).RetrieveOne(ctx, vm, []string{"runtime.question"}, &m); err != nil {
		return err
	}
	q := m.Runtime.Question
	if q == nil {
		return nil
	}
	choice, ok := movedChoice(q)
	if !ok {
		return nil
	}
	_, err := methods.AnswerVM(ctx, c, &types.AnswerVM{This: vm, QuestionId: q.Id, AnswerChoice: choice})
	if err != nil {
		return fmt.Errorf("answer that the VM was moved: %w", err)
	}
	return nil
}

// movedChoice finds the key of the answer "moved", if that is the question.
func movedChoice(q *types.VirtualMachineQuestionInfo) (string, bool) {
	if !slices.ContainsFunc(q.Message, func(m types.VirtualMachineMessage) bool { return m.Id == movedQuestion }) {
		return "", false
	}
	for _, choice := range q.Choice.ChoiceInfo {
		if e, ok := choice.(*types.ElementDescription); ok && e.Label == movedAnswer {
			return e.Key, true
		}
	}
	return "", false
}
