package sequence

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
)

// Names of the steps that take a VM to another VM server [1.11.10].
const (
	nameMigrate  = planning.StepMigrate
	nameMove     = planning.StepMove
	nameFailover = planning.StepFailover
)

// relocateAct takes the step's VM to the step's VM server.
func relocateAct(mode drivers.RelocateMode) *Act {
	return &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			h, err := e.hypervisor(ctx)
			if err != nil {
				return drivers.Task{}, err
			}
			return h.Relocate(ctx, e.Call, drivers.RelocateSpec{
				VM: e.arg(argUUID), Server: e.arg(argServer), Datastore: e.arg(argDatastore), Mode: mode, ConfigPath: e.arg(argConfig),
			})
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			h, err := e.hypervisor(ctx)
			if err != nil {
				return Finding{}, err
			}
			v, err := h.VM(ctx, e.arg(argUUID))
			if err != nil && drivers.KindOf(err) == drivers.KindNotFound && e.arg(argConfig) != "" {
				return Finding{}, nil // an attempt was cut off; the next one makes its record anew
			}
			if err != nil {
				return Finding{}, err
			}
			want := e.arg(argDatastore)
			if v.Server == e.arg(argServer) && (want == "" || slices.Contains(v.Datastores, want)) {
				return Finding{State: FoundDone}, nil
			}
			return Finding{}, nil
		},
	}
}

// arrived is the row of a VM that has come to the step's VM server.
func arrived(tx *fsm.Tx, e *Env) error {
	return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
		m.VmServer, m.Connected, m.Moved = e.arg(argServer), true, timestamppb.New(tx.Now())
		if e.Step.Name == nameFailover && m.Power == schema.PowerOn {
			m.Power = schema.PowerOff // what ran has ended with its VM server
		}
	})
}

var migrate = &Step{
	Name: nameMigrate, Act: relocateAct(drivers.RelocateMigrate), Timeout: time.Hour,
	Skip: func(e *Env) string {
		if rearranges(e) {
			return noLongerHolds(e, e.Step)
		}
		if bulk(e) {
			if s := e.earlier(nameCheckServer); s == nil || s.Output[outConnected] != "true" {
				return "its VM server doesn't answer"
			}
			if why := e.arg(argFailed); why != "" {
				return why
			}
		}
		return ""
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		if err := arrived(tx, e); err != nil || !bulk(e) && !rearranges(e) {
			return err
		}
		return moveMachine.Record(tx, e.Job, PhaseCompleted, e.Step.Target, "migrated to "+e.arg(argServer))
	},
	Tolerant: func(e *Env) bool {
		return bulk(e) || e.Job.Params[fsm.ParamMove] == "true" || e.Job.Params[fsm.ParamFailover] == "true"
	},
}

var move = &Step{
	Name: nameMove, Act: relocateAct(drivers.RelocateMove), Timeout: 6 * time.Hour, Commit: arrived,
	Skip: func(e *Env) string {
		if e.Job.Sequence == fsm.SeqMoveMachine && !e.failed(nameMigrate) {
			return "the VM has been migrated"
		}
		return ""
	},
	// The flow goes on to bring the VM back up; its last step tells the failure.
	Tolerant: func(e *Env) bool { return e.Job.Sequence == fsm.SeqMoveMachine },
}

var failover = &Step{
	Name: nameFailover,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if !e.succeeded(nameFence) {
				return drivers.Task{}, &drivers.Error{Kind: drivers.KindRefused, System: e.Step.Subsystem, Op: nameFailover, Object: e.Step.Target,
					Err: errors.New("its VM server isn't proven off")}
			}
			return relocateAct(drivers.RelocateFailover).Do(ctx, e)
		},
		Probe: relocateAct(drivers.RelocateFailover).Probe,
	},
	Skip: func(e *Env) string {
		switch {
		case e.succeeded(nameMigrate):
			return "the VM has been migrated"
		case e.Job.Sequence == fsm.SeqMoveMachine && !e.failed(nameMove) && !e.failed(nameMigrate), e.succeeded(nameMove):
			return "the VM has been moved"
		case !e.succeeded(nameFence):
			return "its VM server is alive"
		}
		return e.arg(argFailed)
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		if err := arrived(tx, e); err != nil || !bulk(e) {
			return err
		}
		return moveMachine.Record(tx, e.Job, PhaseCompleted, e.Step.Target, "failed over to "+e.arg(argServer))
	},
	Tolerant: func(e *Env) bool { return e.Job.Sequence == fsm.SeqMoveMachine },
	Timeout:  10 * time.Minute,
}

// bulk tells whether the job empties a whole VM server.
func bulk(e *Env) bool {
	return e.Job.Sequence == fsm.SeqFailoverVMServer || e.Job.Sequence == fsm.SeqEvacuate
}

// readServer reads a VM server at the step's subsystem.
func readServer(ctx context.Context, e *Env, name string) (drivers.VMServer, error) {
	h, err := e.hypervisor(ctx)
	if err != nil {
		return drivers.VMServer{}, err
	}
	return h.Server(ctx, name)
}
