package performance

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// streakKey names a threshold of a machine.
type streakKey struct{ event, metric string }

// streak is how many samples in a row were beyond a threshold, or weren't.
type streak struct {
	value, times  int32 // as the threshold was: another setting begins anew
	below         bool
	beyond, aside int
	counted       time.Time // the newest sample
}

// pauses is after how many intervals without a sample a row of them is over. One
// that is missing in between, since the answer to it was lost, neither counts nor
// ends the row.
const pauses = 3

// judge holds a reading against the machine's thresholds. What was raised before
// the row says, so that one manager goes on where another one ended: it tells
// again until the row has it. m is nil when nothing is to be told.
func (c *Collector) judge(m *schema.Machine, thresholds []*schema.Threshold, at time.Time, r *record, got Reading, interval time.Duration) {
	if m == nil {
		clear(r.streaks)
		return
	}
	inForce := map[streakKey]bool{}
	for _, t := range thresholds {
		key := streakKey{t.Event, t.Metric}
		inForce[key] = true
		v, ok := got.Values[t.Metric]
		if !ok {
			continue
		}
		s := r.streaks[key]
		if s == nil || s.value != t.Value || s.times != t.Times || s.below != t.Below || at.Sub(s.counted) > pauses*interval {
			s = &streak{value: t.Value, times: t.Times, below: t.Below}
			r.streaks[key] = s
		}
		s.counted = at
		s.count(v.Percent > float64(t.Value) && !t.Below || v.Percent < float64(t.Value) && t.Below)
		times := cmp.Or(int(t.Times), schema.DefaultTimes)
		crossed := fsm.Crossed(m, t.Event, t.Metric) != nil
		switch {
		case !crossed && s.beyond >= times:
			c.tell(m, t, v, fsm.SamplesCrossed, t.Event, "warning", times, interval)
		case crossed && s.aside >= times:
			c.tell(m, t, v, fsm.SamplesRecovered, cmp.Or(t.Recovery, t.Event), "info", times, interval)
		}
	}
	for key := range r.streaks {
		if !inForce[key] {
			delete(r.streaks, key)
		}
	}
	for _, x := range m.Crossed {
		key := streakKey{x.Event, x.Metric}
		if !inForce[key] && fsm.Crossed(m, x.Event, x.Metric) != nil {
			gone := &schema.Threshold{Event: x.Event, Metric: x.Metric}
			c.tell(m, gone, got.Values[x.Metric], fsm.SamplesWithdrawn, x.Event, "info", 0, interval)
		}
	}
}

func (s *streak) count(beyond bool) {
	if beyond {
		s.beyond, s.aside = s.beyond+1, 0
	} else {
		s.beyond, s.aside = 0, s.aside+1
	}
}

// tell queues an event of a threshold.
func (c *Collector) tell(m *schema.Machine, t *schema.Threshold, v Value, state, event, severity string, times int, interval time.Duration) {
	side := "above"
	if t.Below {
		side = "below"
	}
	if state == fsm.SamplesRecovered {
		side = "no more " + side
	}
	of := ""
	if v.Of != "" {
		of = " (" + v.Of + ")"
	}
	c.outbox.Put(m.Name+"\x00"+t.Event+"\x00"+t.Metric, &schema.Event{
		Notifier: schema.NotifierPerf, Source: fsm.PerformanceSource, EventId: event, Target: m.Name, Severity: severity,
		Text: fmt.Sprintf("%s of %s is %.0f %%%s, %s the threshold of %d %% for %d samples in a row, one every %s",
			t.Metric, m.Name, v.Percent, of, side, t.Value, times, interval),
		Varbinds: map[string]string{
			fsm.VarThreshold: t.Event, fsm.VarMetric: t.Metric, fsm.VarState: state,
			fsm.VarValue: strconv.FormatFloat(v.Percent, 'f', 1, 64), fsm.VarLimit: strconv.Itoa(int(t.Value)),
		},
		Received: timestamppb.Now(),
	})
}
