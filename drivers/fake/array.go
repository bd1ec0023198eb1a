package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"yagura/drivers"
)

// Operations on an array; the object of the effects is "VOLUME INITIATOR".
const (
	OpConnect     = "connect"
	OpDisconnect  = "disconnect"
	OpReadVolumes = "read-volumes"
	OpReadVolume  = "read-volume"
)

// array is the volumes of an array by name.
type array map[string]*volume

type volume struct {
	shared    bool
	connected []string // initiators
	held      []string // initiators whose session nothing ends
}

// AddVolume makes a non-shared volume of an array: Violations tells when two
// machines get at it, whatever the caller of Connect says about it.
func (w *World) AddVolume(system, name string) { w.addVolume(system, name, false) }

// AddSharedVolume makes a volume that several machines may use.
func (w *World) AddSharedVolume(system, name string) { w.addVolume(system, name, true) }

func (w *World) addVolume(system, name string, shared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.arrays[system] == nil {
		w.arrays[system] = array{}
	}
	w.arrays[system][name] = &volume{shared: shared}
	w.notify()
}

// Array is one client's connection to an array.
type Array struct {
	w      *World
	system string
}

var _ drivers.Storage = (*Array)(nil)

// Array opens a client on an array; AddVolume made it.
func (w *World) Array(system string) *Array { return &Array{w, system} }

// Attach connects a volume to initiators, as a person at the array would. It
// leaves no trace and panics when there is no such volume.
func (a *Array) Attach(volume string, initiators ...string) {
	a.knob(volume, func(v *vol) {
		for _, i := range initiators {
			if !slices.Contains(v.connected, i) {
				v.connected = append(v.connected, i)
			}
		}
	})
}

// HoldSession makes a session of an initiator stay open, whatever should end it
// (disconnection, power loss of its machine), until it is released: then it
// ends by itself unless its machine is still on and connected. It leaves no
// trace and panics when there is no such volume.
func (a *Array) HoldSession(volume, initiator string, hold bool) {
	a.knob(volume, func(v *vol) {
		v.held = slices.DeleteFunc(v.held, func(i string) bool { return i == initiator })
		if hold {
			v.held = append(v.held, initiator)
		}
	})
}

// vol is volume, for methods that have a parameter of that name.
type vol = volume

func (a *Array) knob(name string, f func(*vol)) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.w.settle()
	v := a.w.arrays[a.system][name]
	if v == nil {
		panic("fake: no volume " + name)
	}
	f(v)
	a.w.notify()
}

// sessions are the initiators with an open session, ascending: a machine that
// is on opens one to all that is connected to it. The caller holds mu.
func (w *World) sessions(v *volume) []string {
	open := slices.Clone(v.held)
	for _, i := range v.connected {
		if h := w.hosts[w.owner(i)]; h != nil && h.power == drivers.PowerOn && !slices.Contains(open, i) {
			open = append(open, i)
		}
	}
	slices.Sort(open)
	return open
}

// others are the initiators that are connected or have a session, without
// those given. The caller holds mu.
func (w *World) others(v *volume, initiators []string) []string {
	var out []string
	for _, i := range append(w.sessions(v), v.connected...) {
		if !slices.Contains(initiators, i) && !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out
}

// onTwo tells of a non-shared volume that two machines get at; "" when it
// isn't so. An initiator of no machine counts as a machine. The caller holds mu.
func (w *World) onTwo(name string, v *volume) string {
	machines := map[string]bool{}
	for _, i := range w.others(v, nil) {
		if m := w.owner(i); m != "" {
			machines[m] = true
		} else {
			machines[i] = true
		}
	}
	if v.shared || len(machines) < 2 {
		return ""
	}
	return fmt.Sprintf("non-shared volume %s is connected to, or has sessions of, two machines: %s", name, strings.Join(w.others(v, nil), ", "))
}

func (w *World) viewVolume(name string, v *volume) drivers.VolumeState {
	s := drivers.VolumeState{Name: name, Initiators: slices.Clone(v.connected), Sessions: w.sessions(v)}
	slices.Sort(s.Initiators)
	return s
}

// Volumes implements drivers.Storage.
func (a *Array) Volumes(ctx context.Context) ([]drivers.VolumeState, error) {
	var all []drivers.VolumeState
	err := a.w.read(ctx, a.system, OpReadVolumes, a.system, func() error {
		for name, v := range a.w.arrays[a.system] {
			all = append(all, a.w.viewVolume(name, v))
		}
		slices.SortFunc(all, func(a, b drivers.VolumeState) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Volume implements drivers.Storage.
func (a *Array) Volume(ctx context.Context, name string) (drivers.VolumeState, error) {
	var state drivers.VolumeState
	err := a.w.read(ctx, a.system, OpReadVolume, name, func() error {
		v := a.w.arrays[a.system][name]
		if v == nil {
			return (&change{system: a.system, op: OpReadVolume, object: name}).errorf(drivers.KindNotFound, "no such volume")
		}
		state = a.w.viewVolume(name, v)
		return nil
	})
	if err != nil {
		return drivers.VolumeState{}, err
	}
	return state, nil
}

// Connect implements drivers.Storage. Each initiator is an effect of its own.
func (a *Array) Connect(ctx context.Context, call drivers.Call, volume string, initiators []string, shared bool) (drivers.Task, error) {
	w := a.w
	return a.each(ctx, call, OpConnect, volume, initiators, func(c *change, v *vol, initiator string) (bool, error) {
		if others := w.others(v, initiators); len(others) > 0 && !shared {
			return false, c.errorf(drivers.KindRefused, "it is not shared, and connected to or in use by %s", strings.Join(others, ", "))
		}
		return slices.Contains(v.connected, initiator), nil
	}, func(v *vol, initiator string) {
		v.connected = append(v.connected, initiator)
		if bad := w.onTwo(volume, v); bad != "" {
			w.violations = append(w.violations, bad)
		}
	})
}

// Disconnect implements drivers.Storage. Each initiator is an effect of its own.
func (a *Array) Disconnect(ctx context.Context, call drivers.Call, volume string, initiators []string) (drivers.Task, error) {
	w := a.w
	task, err := a.each(ctx, call, OpDisconnect, volume, initiators, func(_ *change, v *vol, initiator string) (bool, error) {
		return !slices.Contains(v.connected, initiator), nil
	}, func(v *vol, initiator string) {
		v.connected = slices.DeleteFunc(v.connected, func(i string) bool { return i == initiator })
	})
	if err != nil || task.State != drivers.TaskDone {
		return task, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.sessions(w.arrays[a.system][volume]) {
		if slices.Contains(initiators, i) {
			return drivers.Task{}, (&change{system: a.system, op: OpDisconnect, object: volume}).errorf(drivers.KindFailed, "the session of %s stays open", i)
		}
	}
	return task, nil
}

// each brings a change about for each initiator. What was done for one stays
// when the next one fails: nobody can say then that nothing was done.
func (a *Array) each(
	ctx context.Context, call drivers.Call, op, name string, initiators []string,
	there func(c *change, v *vol, initiator string) (bool, error), apply func(v *vol, initiator string),
) (drivers.Task, error) {
	w := a.w
	all := drivers.Done("")
	if err := drivers.CheckInitiators(initiators); err != nil {
		return drivers.Task{}, (&change{system: a.system, op: op, object: name}).errorf(drivers.KindRefused, "%w", err)
	}
	for n, initiator := range initiators {
		c := change{system: a.system, op: op, object: name + " " + initiator, call: call}
		c.check = func() (bool, string, error) {
			v := w.arrays[a.system][name]
			if v == nil {
				return false, "", c.errorf(drivers.KindNotFound, "no such volume")
			}
			is, err := there(&c, v, initiator)
			return is, "", err
		}
		c.apply = func() string {
			apply(w.arrays[a.system][name], initiator)
			return ""
		}
		t, err := w.run(ctx, c)
		if err != nil {
			if n > 0 {
				err = c.errorf(drivers.KindUnknown, "done for %d of %d initiators: %w", n, len(initiators), err)
			}
			return drivers.Task{}, err
		}
		if t.State != drivers.TaskDone {
			t.ID = "" // an array has no tasks to ask about: Volume tells
			all = t
		}
	}
	return all, nil
}

// Close implements drivers.Storage.
func (a *Array) Close(context.Context) error { return nil }
