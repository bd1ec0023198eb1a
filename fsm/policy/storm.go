package policy

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// A storm is a time in which many machines stop answering at once. Then it is
// more likely the network, or the managers' own connection, than so many faults,
// and recovery by itself would do harm on a large scale. It begins when
// storm_machines are hit within storm_seconds, and it is over when no other
// machine has been hit for storm_seconds.

const (
	// maxVictims bounds the machines that a storm names.
	maxVictims = 256
	// stormLook bounds the events that are looked through for a storm's beginning.
	stormLook = 4096
)

// StormTime is how long after the last machine was hit a storm ends.
func StormTime(s *schema.Settings) time.Duration {
	return seconds(s.StormSeconds, schema.DefaultStormSeconds)
}

// StormOver tells whether the storm that the settings tell of is over at a
// time, and when it will be.
func StormOver(s *schema.Settings, now time.Time) (over bool, at time.Time) {
	if s.Storm == nil || s.Storm.Over != nil {
		return false, time.Time{}
	}
	at = s.Storm.Last.AsTime().Add(StormTime(s))
	return !at.After(now), at
}

// Hit takes an event into account that says that a machine doesn't answer. It
// returns the storm that lasts after it when it has begun or grown by that, or nil.
func Hit(r fsm.Reader, e *schema.Event) (storm *schema.Storm, begun bool) {
	s := fsm.Settings(r)
	if e.Target == "" || !Inaccessible(e) || excused(r, e) {
		return nil, false
	}
	at := Since(e)
	if old := s.Storm; old != nil && old.Over == nil && at.Before(old.Last.AsTime().Add(StormTime(s))) {
		victim := victimOf(r, e)
		if slices.Contains(old.Machines, victim) || at.Before(old.Since.AsTime()) {
			return nil, false
		}
		grown := &schema.Storm{Since: old.Since, Last: old.Last, Machines: slices.Clone(old.Machines), Count: old.Count + 1}
		if at.After(old.Last.AsTime()) {
			grown.Last = timestamppb.New(at)
		}
		if len(grown.Machines) < maxVictims {
			grown.Machines = append(grown.Machines, victim)
		}
		return grown, false
	}
	return begins(r, s, at)
}

// hit is one event of a possible storm.
type hit struct {
	at     time.Time
	victim string
}

// begins tells whether the event at this time is one of a storm that begins.
func begins(r fsm.Reader, s *schema.Settings, at time.Time) (*schema.Storm, bool) {
	within, many := StormTime(s), or(s.StormMachines, schema.DefaultStormMachines)
	var hits []hit
	known := map[string]bool{} // whether a machine is excused
	looked := 0
	for e := range fsm.Events.ByBackward(r, fsm.ByInaccessible, fsm.Inaccessible) {
		// An event is recorded after it was received: those before are older still.
		if looked++; looked > stormLook || !e.Time.AsTime().After(at.Add(-within)) && !Since(e).After(at.Add(-within)) {
			break
		}
		t := Since(e)
		ended := s.Storm.GetOver() != nil && t.Before(s.Storm.Last.AsTime().Add(within)) // of the last storm
		if !t.After(at.Add(-within)) || !t.Before(at.Add(within)) || ended {
			continue
		}
		no, ok := known[e.Target]
		if !ok {
			no = excused(r, e)
			known[e.Target] = no
		}
		if !no {
			hits = append(hits, hit{t, victimOf(r, e)})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return a.at.Compare(b.at) })
	for i, last := range hits {
		if last.at.Before(at) {
			continue
		}
		storm := &schema.Storm{Last: timestamppb.New(last.at)}
		for _, h := range hits[:i+1] {
			if !h.at.After(last.at.Add(-within)) || slices.Contains(storm.Machines, h.victim) {
				continue
			}
			if storm.Since == nil {
				storm.Since = timestamppb.New(h.at)
			}
			storm.Machines = append(storm.Machines, h.victim)
		}
		if storm.Count = int32(len(storm.Machines)); int(storm.Count) >= many {
			return storm, true
		}
	}
	return nil, false
}

// victimOf is what counts as hit: the VMs of one VM server are one.
func victimOf(r fsm.Reader, e *schema.Event) string {
	if m, ok := fsm.Machines.Get(r, e.Target); ok && m.Kind == schema.MachineVM && m.VmServer != "" {
		return m.VmServer
	}
	return e.Target
}

// excused tells whether it is known why a machine doesn't answer, or nobody
// minds: it ran in no group, it is in maintenance, a person's job works on it, or
// a job has shut it down. A job of automation is no excuse: it may be there
// because the machine doesn't answer.
func excused(r fsm.Reader, e *schema.Event) bool {
	m, ok := fsm.Machines.Get(r, e.Target)
	if !ok || e.Group == "" || m.Maintenance || e.Decision == schema.DecisionMaintenance {
		return true
	}
	if holder := fsm.HeldBy(r, m.Name); holder != "" {
		if j, err := fsm.JobRow(r, holder); err == nil && j.Event == "" && slices.Contains(silencing, j.Sequence) {
			return true
		}
	}
	return ShutDown(r, m) != ""
}

// InStorm tells whether an event is part of the storm that lasts, or of the
// last one: those stay with the operator when it is over.
func InStorm(s *schema.Settings, e *schema.Event) bool {
	if s.Storm == nil || !Inaccessible(e) || Since(e).Before(s.Storm.Since.AsTime()) {
		return false
	}
	return s.Storm.Over == nil || Since(e).Before(s.Storm.Last.AsTime().Add(StormTime(s)))
}

// stormOf describes the storm that an event is part of, or is "".
func stormOf(s *schema.Settings, e *schema.Event) string {
	if !InStorm(s, e) {
		return ""
	}
	return DescribeStorm(s)
}

// DescribeStorm describes the storm that the settings tell of.
func DescribeStorm(s *schema.Settings) string {
	st := s.Storm
	text := fmt.Sprintf("storm: %d machines became inaccessible from %s on (%s), more likely by the network or by the managers' own connection than by so many faults",
		st.Count, clock(st.Since.AsTime()), names(st.Machines, int(st.Count)))
	if st.Over != nil {
		return text + fmt.Sprintf("; it was over at %s", clock(st.Over.AsTime()))
	}
	return text + fmt.Sprintf("; recovery by itself goes on when no other machine has been hit for %s", StormTime(s))
}
