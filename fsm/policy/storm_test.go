package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

// hit records that a machine doesn't answer, so long after the beginning.
func (w *world) hit(target string, after time.Duration) *schema.Event {
	w.t.Helper()
	e := w.silent(target)
	m, _ := fsm.Machines.Get(w.Store().View(), target)
	e.Id, e.Group = fmt.Sprint(fsm.Events.Len(w.Store().View())+1), m.GetGroup()
	at := timestamppb.New(w.now.Add(after))
	e.Time, e.Received, e.LastTime = at, at, at
	w.Do(func(tx *fsm.Tx) error { return fsm.Events.Put(tx, e) })
	return e
}

// TestStormBegins asks at the last of some events whether it is one of a storm
// of three machines within a minute.
func TestStormBegins(t *testing.T) {
	type hits []struct {
		target string
		after  time.Duration
	}
	const s = time.Second
	three := hits{{"ph01", 0}, {"ph02", s}, {"ph03", 2 * s}}
	for name, c := range map[string]struct {
		hits    hits
		prepare func(*world)
		want    []string
	}{
		"three":              {hits: three, want: []string{"ph01", "ph02", "ph03"}},
		"two":                {hits: three[1:]},
		"one, three times":   {hits: hits{{"ph01", 0}, {"ph01", s}, {"ph01", 2 * s}}},
		"slowly":             {hits: hits{{"ph01", 0}, {"ph02", 40 * s}, {"ph03", 80 * s}}},
		"the first too old":  {hits: hits{{"ph01", 0}, {"ph02", 60 * s}, {"ph03", 61 * s}}},
		"just within":        {hits: hits{{"ph01", 0}, {"ph02", 59 * s}, {"ph03", 59*s + s/2}}, want: []string{"ph01", "ph02", "ph03"}},
		"told out of order":  {hits: hits{{"ph03", 2 * s}, {"ph02", s}, {"ph01", 0}}, want: []string{"ph01", "ph02", "ph03"}},
		"VMs of one server":  {hits: hits{{"web01", 0}, {"web03", s}, {"esx02", 2 * s}}},
		"VMs of two servers": {hits: hits{{"web01", 0}, {"web02", s}, {"ph01", 2 * s}}, want: []string{"esx02", "esx01", "ph01"}},
		"one in maintenance": {hits: three, prepare: func(w *world) {
			w.machine("ph02", func(m *schema.Machine) { m.Maintenance = true })
		}},
		"one in the pool":        {hits: hits{{"ph01", 0}, {"ph04", s}, {"ph03", 2 * s}}},
		"one of the common pool": {hits: hits{{"ph01", 0}, {"ph09", s}, {"ph03", 2 * s}}},
		"one off on purpose": {hits: three, prepare: func(w *world) {
			w.machine("ph02", func(m *schema.Machine) { m.Power = schema.PowerOff })
			id := w.job(&schema.Job{Sequence: fsm.SeqShutdownMachine, Targets: []string{"ph02"}})
			w.jobRow(id, func(j *schema.Job) { j.State, j.Ended = schema.JobSucceeded, timestamppb.New(w.now) })
		}},
		"one that a person reboots":    {hits: three, prepare: held("")},
		"one that automation replaces": {hits: three, prepare: held("1"), want: []string{"ph01", "ph02", "ph03"}},
		"five wanted": {hits: three, prepare: func(w *world) {
			w.settings(func(s *schema.Settings) { s.StormMachines = 5 })
		}},
		"within ten seconds": {hits: hits{{"ph01", 0}, {"ph02", 6 * s}, {"ph03", 12 * s}}, prepare: func(w *world) {
			w.settings(func(s *schema.Settings) { s.StormSeconds = 10 })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settings(func(s *schema.Settings) { s.StormMachines = 3 })
			if c.prepare != nil {
				c.prepare(w)
			}
			var e *schema.Event
			for _, h := range c.hits {
				e = w.hit(h.target, h.after)
			}
			storm, begun := policy.Hit(w.Store().View(), e)
			if begun != (len(c.want) > 0) || !slices.Equal(storm.GetMachines(), c.want) || int(storm.GetCount()) != len(c.want) {
				t.Errorf("%v, want %v", storm, c.want)
			}
		})
	}
}

// held lets a job work on ph02, that of an event or of a person.
func held(event string) func(*world) {
	return func(w *world) {
		id := w.job(&schema.Job{Sequence: fsm.SeqTakeOverMachine, Targets: []string{"ph02"}, Event: event})
		w.Do(func(tx *fsm.Tx) error { return fsm.TakeLocks(tx, id, []string{fsm.Exclusive("machine", "ph02")}) })
	}
}

// TestStormGrowsAndEnds follows a storm: those hit before are no news, a new
// one prolongs it, what comes after its end isn't part of it, and the machines of
// the old one count anew.
func TestStormGrowsAndEnds(t *testing.T) {
	w := newWorld(t)
	w.settings(func(s *schema.Settings) { s.StormMachines = 3 })
	take := func(e *schema.Event) (begun bool) {
		storm, begun := policy.Hit(w.Store().View(), e)
		if storm != nil {
			w.settings(func(s *schema.Settings) { s.Storm = storm })
		}
		return begun
	}
	state := func() *schema.Settings { return fsm.Settings(w.Store().View()) }
	take(w.hit("ph01", 0))
	first := w.hit("ph02", time.Second)
	take(first)
	if !take(w.hit("ph03", 2*time.Second)) || !policy.InStorm(state(), first) {
		t.Fatalf("no storm: %v", state())
	}
	if take(w.hit("ph01", 30*time.Second)) || state().Storm.Count != 3 {
		t.Errorf("the same again: %v", state().Storm)
	}
	take(w.hit("web01", 40*time.Second))
	if over, at := policy.StormOver(state(), w.now.Add(99*time.Second)); over || !at.Equal(w.now.Add(100*time.Second)) || state().Storm.Count != 4 {
		t.Errorf("it ends at %s: %v", at, state().Storm)
	}
	if over, _ := policy.StormOver(state(), w.now.Add(100*time.Second)); !over {
		t.Error("it doesn't end")
	}
	w.settings(func(s *schema.Settings) { s.Storm.Over = timestamppb.New(w.now.Add(100 * time.Second)) })
	late, after := w.hit("ph02", 90*time.Second), w.hit("ph02", 101*time.Second)
	if !policy.InStorm(state(), late) || policy.InStorm(state(), after) {
		t.Error("what was received in the storm is part of it, what came after it isn't")
	}
	if take(after) {
		t.Error("one machine is no storm")
	}
	take(w.hit("ph01", 102*time.Second))
	if !take(w.hit("ph03", 103*time.Second)) || state().Storm.Over != nil || state().Storm.Count != 3 {
		t.Errorf("the second storm: %v", state().Storm)
	}
}
