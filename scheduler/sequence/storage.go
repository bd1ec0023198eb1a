package sequence

import (
	"context"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
)

// Names of the steps on arrays [1.9.6].
const (
	nameConnect    = "connect-storage"
	nameDisconnect = fsm.StepDisconnect
)

func initiatorsOf(e *Env) []string { return strings.Fields(e.arg(argInitiators)) }

var (
	connectVolume = &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if err := giving(e); err != nil {
				return drivers.Task{}, err
			}
			s, err := e.Drivers.Storage(ctx, e.Step.Subsystem)
			if err != nil {
				return drivers.Task{}, err
			}
			return withoutID(s.Connect(ctx, e.Call, e.arg(argVolume), initiatorsOf(e), e.arg(argShared) == "true"))
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			return probeVolume(ctx, e, func(v drivers.VolumeState) bool { return connected(v, initiatorsOf(e)) })
		},
	}
	// disconnectVolume is done when no session is left either.
	disconnectVolume = &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if err := taking(e); err != nil {
				return drivers.Task{}, err
			}
			s, err := e.Drivers.Storage(ctx, e.Step.Subsystem)
			if err != nil {
				return drivers.Task{}, err
			}
			return withoutID(s.Disconnect(ctx, e.Call, e.arg(argVolume), initiatorsOf(e)))
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			return probeVolume(ctx, e, func(v drivers.VolumeState) bool {
				return !slices.ContainsFunc(initiatorsOf(e), func(i string) bool { return slices.Contains(v.Initiators, i) || slices.Contains(v.Sessions, i) })
			})
		},
	}
)

var (
	connectStorage    = &Step{Name: nameConnect, Act: connectVolume, Undo: disconnectVolume, Timeout: 5 * time.Minute}
	disconnectStorage = &Step{Name: nameDisconnect, Act: disconnectVolume, Undo: connectVolume, Skip: runsElsewhere, Timeout: 5 * time.Minute}
)

// connected tells whether a volume is connected to a machine: to all of its
// initiators of the kinds (iSCSI, Fibre Channel) that the array speaks. Which
// those are shows in those that it is connected to.
func connected(v drivers.VolumeState, initiators []string) bool {
	has := map[bool]int{}
	missing := map[bool]int{}
	for _, i := range initiators {
		if slices.Contains(v.Initiators, i) {
			has[drivers.IsISCSI(i)]++
		} else {
			missing[drivers.IsISCSI(i)]++
		}
	}
	for _, kind := range []bool{true, false} {
		if has[kind] > 0 && missing[kind] > 0 {
			return false
		}
	}
	return len(has) > 0
}

func probeVolume(ctx context.Context, e *Env, is func(drivers.VolumeState) bool) (Finding, error) {
	s, err := e.Drivers.Storage(ctx, e.Step.Subsystem)
	if err != nil {
		return Finding{}, err
	}
	v, err := s.Volume(ctx, e.arg(argVolume))
	if err == nil && is(v) {
		return Finding{State: FoundDone}, nil
	}
	return Finding{}, err
}
