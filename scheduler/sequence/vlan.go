package sequence

import (
	"context"
	"strconv"
	"time"

	"yagura/drivers"
)

// Names of the steps on switches [1.8.4].
const (
	nameVLANAdd    = "vlan-add"
	nameVLANRemove = "vlan-remove"
)

func vlanOf(e *Env) drivers.VLAN {
	id, _ := strconv.Atoi(e.arg(argVLANID))
	return drivers.VLAN{Name: e.arg(argVLAN), ID: id, Management: e.arg(argManagement) == "true"}
}

var (
	joinVLAN = &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if err := giving(e); err != nil {
				return drivers.Task{}, err
			}
			s, err := e.Drivers.Switch(ctx, e.Step.Subsystem)
			if err != nil {
				return drivers.Task{}, err
			}
			return withoutID(s.AddToVLAN(ctx, e.Call, e.arg(argPort), vlanOf(e)))
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			return probePort(ctx, e, func(p drivers.Port) bool { return p.In(vlanOf(e)) })
		},
	}
	leaveVLAN = &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if err := taking(e); err != nil {
				return drivers.Task{}, err
			}
			s, err := e.Drivers.Switch(ctx, e.Step.Subsystem)
			if err != nil {
				return drivers.Task{}, err
			}
			return withoutID(s.RemoveFromVLAN(ctx, e.Call, e.arg(argPort), vlanOf(e)))
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			return probePort(ctx, e, func(p drivers.Port) bool { return !p.Has(vlanOf(e).ID) })
		},
	}
)

var (
	vlanAdd    = &Step{Name: nameVLANAdd, Operation: "vlan-add-port", Act: joinVLAN, Undo: leaveVLAN, Timeout: 2 * time.Minute}
	vlanRemove = &Step{Name: nameVLANRemove, Operation: "vlan-remove-port", Act: leaveVLAN, Undo: joinVLAN, Timeout: 2 * time.Minute}
)

func probePort(ctx context.Context, e *Env, is func(drivers.Port) bool) (Finding, error) {
	s, err := e.Drivers.Switch(ctx, e.Step.Subsystem)
	if err != nil {
		return Finding{}, err
	}
	p, err := s.Port(ctx, e.arg(argPort))
	if err == nil && is(p) {
		return Finding{State: FoundDone}, nil
	}
	return Finding{}, err
}
