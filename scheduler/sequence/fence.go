package sequence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

const (
	nameCheckServer = "check-vm-server"
	nameFence       = "fence-vm-server"

	argFencing = "fencing"
	argBMC     = "bmc"
)

// checkVMServer reads whether the manager of a VM server reaches it, and where
// the configurations of its VMs lie: a failover that is cut off while a VM is
// known to no server is completed by that.
var checkVMServer = &Step{
	Name: nameCheckServer,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		s, err := readServer(ctx, e, e.Step.Target)
		if err != nil {
			return drivers.Task{}, err
		}
		e.set(outConnected, fmt.Sprint(s.Connected))
		e.set(outPower, string(s.Power))
		if s.Connected {
			return drivers.Done(""), nil
		}
		e.Carry, err = configPaths(ctx, e)
		return drivers.Done(""), err
	}},
	Skip: func(e *Env) string {
		if e.Job.Sequence == fsm.SeqMoveMachine && !e.failed(nameMigrate) {
			return "the VM has been migrated"
		}
		if bulk(e) && len(unmoved(e)) == 0 && e.earlier(nameCheckServer) != nil {
			return "no VM is left on it"
		}
		return ""
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		paths, _ := e.Carry.(map[string]string)
		for _, s := range e.Steps {
			if path := paths[s.Target]; path != "" && s.Name == nameFailover && s.State == schema.StepPending {
				e.Own(s).Args[argConfig] = path
			}
		}
		m, ok := fsm.Machines.Edit(tx, e.Step.Target)
		if !ok || e.Out[outConnected] == "true" {
			return nil
		}
		if err := disconnected(tx, m); err != nil {
			return err
		}
		return fsm.Machines.Put(tx, m)
	},
	Timeout:  time.Minute,
	ReadOnly: true,
}

// configPaths reads where the configurations of the VMs lie that the job may
// have to fail over. A VM that its manager doesn't know is left to its own step.
func configPaths(ctx context.Context, e *Env) (map[string]string, error) {
	h, err := e.hypervisor(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, s := range e.Steps {
		if s.Name != nameFailover || s.State != schema.StepPending {
			continue
		}
		v, err := h.VM(ctx, s.Args[argUUID])
		if err != nil && drivers.KindOf(err) != drivers.KindNotFound {
			return nil, err
		}
		out[s.Target] = v.ConfigPath
	}
	return out, nil
}

// fenceArgs says how a VM server is proven off.
func fenceArgs(r fsm.Reader, srv *schema.Machine) map[string]string {
	fencing := schema.FencingBMC
	if g, ok := fsm.Groups.Get(r, srv.Group); ok && g.Fencing != "" {
		fencing = g.Fencing
	}
	return machineArgs(srv, argFencing, fencing, argBMC, srv.GetBmc().GetAddress())
}

// fenceVMServer proves a VM server off before its VMs start elsewhere, or
// they might run twice on the same disks. Its management controller is asked;
// it is forced off when it is on. With the group's fencing set to vcenter the
// word of the server's manager is enough. When nothing proves it the job
// parks: only a person who looked may say that it is off.
var fenceVMServer = &Step{
	Name: nameFence,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if e.arg(argFencing) == schema.FencingVCenter {
				return drivers.Done(""), nil // the probe asks the manager
			}
			p, err := e.Drivers.Power(ctx, e.Step.Target)
			if err != nil {
				return drivers.Task{}, err
			}
			state, err := p.PowerState(ctx, e.Step.Target)
			if err != nil {
				return drivers.Task{}, err
			}
			if state == drivers.PowerOff || byRule(e) {
				return drivers.Done(""), nil // the probe tells what it is worth
			}
			return p.SetPower(ctx, e.Call, e.Step.Target, drivers.OpPowerOff)
		},
		Probe: probeFence,
	},
	Skip: func(e *Env) string {
		s := e.earlier(nameCheckServer)
		switch {
		case e.Job.Sequence == fsm.SeqMoveMachine && (e.succeeded(nameMigrate) || e.succeeded(nameMove)):
			return "the VM has been moved"
		case bulk(e) && len(unmoved(e)) == 0:
			return "no VM is left on it"
		case s == nil || s.Output[outConnected] == "true":
			return "it is alive: its manager reaches it"
		}
		return ""
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		if e.Out[OutProof] == "" {
			e.set(OutProof, "the operator's word")
			e.set(outPower, schema.PowerOff)
		}
		m, ok := fsm.Machines.Edit(tx, e.Step.Target)
		if !ok {
			return nil
		}
		if err := disconnected(tx, m); err != nil {
			return err
		}
		if e.Out[outPower] == schema.PowerOff {
			m.Power = schema.PowerOff
		}
		return fsm.Machines.Put(tx, m)
	},
	Parked: func(e *Env, cause error) (string, []string) {
		where := "it has no management controller"
		if a := e.arg(argBMC); a != "" && byRule(e) {
			where = cause.Error()
		} else if a != "" {
			where = fmt.Sprintf("BMC at %s: %v", a, cause)
		}
		return fmt.Sprintf("%s can't be proven off: %s; %s", e.Step.Target, where, howOff(e, cause)),
			[]string{fsm.WordOff, fsm.WordRetry, fsm.WordFailed}
	},
	Timeout: time.Minute,
	// VMs are down meanwhile: a management controller gets two chances.
	CallTimeout: 8 * time.Second,
	Patience:    5 * time.Second,
}

// probeFence looks whether the VM server is proven off, and whether its
// manager has noticed: it lets no VM go while it believes the server alive.
func probeFence(ctx context.Context, e *Env) (Finding, error) {
	if e.arg(argFencing) != schema.FencingVCenter {
		if byRule(e) {
			return Finding{}, unproven(e, "whether it is off can't be proven")
		}
		if off, err := bmcOff(ctx, e); !off {
			return Finding{}, err
		}
		e.set(OutProof, "its management controller reads off")
		e.set(outPower, schema.PowerOff)
	}
	s, err := readServer(ctx, e, e.Step.Target)
	if err != nil {
		return Finding{}, err
	}
	if s.Connected {
		if e.arg(argFencing) == schema.FencingVCenter {
			return Finding{}, &drivers.Error{Kind: drivers.KindUnknown, System: e.Step.Subsystem, Op: nameFence, Object: e.Step.Target,
				Err: errors.New("its manager reaches it again")}
		}
		return Finding{State: FoundRunning}, nil
	}
	if e.arg(argFencing) == schema.FencingVCenter {
		e.set(OutProof, e.Step.Subsystem+" doesn't reach it, and the group takes its word")
	}
	return Finding{State: FoundDone}, nil
}
