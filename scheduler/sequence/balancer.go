package sequence

import (
	"context"
	"slices"
	"strconv"
	"time"

	"yagura/drivers"
	"yagura/fsm/schema"
)

// Names of the steps on load balancers [1.8.7].
const (
	nameLBAdd    = "lb-add"
	nameLBRemove = "lb-remove"

	partRemove = "remove" // the node has drained, and is taken away
)

func member(e *Env) drivers.Member {
	port, _ := strconv.Atoi(e.arg(argPort))
	return drivers.Member{Name: e.arg(argMember), Address: e.arg(argAddress), Port: port}
}

// balancerOf opens the step's balancer. That its subsystem is gone doesn't mean
// that a pool or a node of it is.
func balancerOf(ctx context.Context, e *Env) (drivers.Balancer, error) {
	b, err := e.Drivers.Balancer(ctx, e.Step.Subsystem)
	if err != nil && drivers.KindOf(err) == drivers.KindNotFound {
		return nil, schema.Errorf(schema.KindConflict, "subsystem "+e.Step.Subsystem, "it is gone: %v", err).WithHint("register it again, then: pvmutl job resume %s", e.Job.Id)
	}
	return b, err
}

// readMember reads the step's node; false when it isn't there, or is off: a
// balancer may keep what its configuration names.
func readMember(ctx context.Context, e *Env) (drivers.MemberState, bool, error) {
	b, err := balancerOf(ctx, e)
	if err != nil {
		return drivers.MemberState{}, false, err
	}
	all, err := b.Members(ctx, e.arg(argPool))
	i := slices.IndexFunc(all, func(m drivers.MemberState) bool { return m.Name == e.arg(argMember) })
	if err != nil || i < 0 || all[i].Mode == drivers.MemberOff {
		return drivers.MemberState{}, false, err
	}
	return all[i], true, nil
}

// addMember makes the step's node take traffic.
var addMember = &Act{
	Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		if err := giving(e); err != nil {
			return drivers.Task{}, err
		}
		b, err := balancerOf(ctx, e)
		if err != nil {
			return drivers.Task{}, err
		}
		return withoutID(b.AddMember(ctx, e.Call, e.arg(argPool), member(e)))
	},
	Probe: func(ctx context.Context, e *Env) (Finding, error) {
		m, found, err := readMember(ctx, e)
		if err == nil && found && m.Mode == drivers.MemberReady && m.Same(member(e)) {
			return Finding{State: FoundDone}, nil
		}
		return Finding{}, err
	},
}

var lbAdd = &Step{
	Name: nameLBAdd,
	Act:  addMember,
	Undo: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if err := taking(e); err != nil {
				return drivers.Task{}, err
			}
			b, err := balancerOf(ctx, e)
			if err != nil {
				return drivers.Task{}, err
			}
			return gone(withoutID(b.RemoveMember(ctx, e.Call, e.arg(argPool), e.arg(argMember))))
		},
		Probe: probeNoMember,
	},
	Timeout: 2 * time.Minute,
}

// lbRemove lets a node drain and takes it away once its connections have ended,
// or the time for that is over. One that is down has none to wait for.
var lbRemove = &Step{
	Name: nameLBRemove,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if err := taking(e); err != nil {
				return drivers.Task{}, err
			}
			b, err := balancerOf(ctx, e)
			if err != nil {
				return drivers.Task{}, err
			}
			if e.part() == partRemove {
				return gone(withoutID(b.RemoveMember(ctx, e.Call, e.arg(argPool), e.arg(argMember))))
			}
			return gone(withoutID(b.DrainMember(ctx, e.Call, e.arg(argPool), e.arg(argMember))))
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			m, found, err := readMember(ctx, e)
			drain, _ := strconv.Atoi(e.arg(argDrain))
			switch {
			case err != nil && drivers.KindOf(err) == drivers.KindNotFound, err == nil && !found:
				return Finding{State: FoundDone}, nil
			case err != nil || e.part() == partRemove || m.Mode == drivers.MemberReady:
				return Finding{}, err
			case m.Connections == 0 || !m.Up || e.running() >= time.Duration(drain)*time.Second:
				return Finding{State: FoundPart, Part: partRemove}, nil
			}
			return Finding{State: FoundRunning, Free: true}, nil
		},
	},
	Undo:    addMember,
	Timeout: 2 * time.Hour, // of drain_seconds there may be 3600
}

func probeNoMember(ctx context.Context, e *Env) (Finding, error) {
	_, found, err := readMember(ctx, e)
	if err != nil && drivers.KindOf(err) == drivers.KindNotFound || err == nil && !found {
		return Finding{State: FoundDone}, nil
	}
	return Finding{}, err
}

// withoutID drops the id of a task that can't be asked about: the state of
// what it works on tells its end.
func withoutID(t drivers.Task, err error) (drivers.Task, error) {
	t.ID = ""
	return t, err
}

// gone takes it for done that what was to be taken away isn't there.
func gone(t drivers.Task, err error) (drivers.Task, error) {
	if err != nil && drivers.KindOf(err) == drivers.KindNotFound {
		return drivers.Done(""), nil
	}
	return t, err
}
