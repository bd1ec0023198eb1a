package performance

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// world is a database of one machine, and an agent that answers what it is told to.
type world struct {
	t *testing.T
	c *Collector

	mu         sync.Mutex // guards the rest
	machine    *schema.Machine
	quiet      bool // the machine's samples raise nothing now
	thresholds []*schema.Threshold
	refuses    int // deliveries that fail
	events     []*schema.Event
	targets    []Target
	reading    Reading
	asked      map[string]int
}

func newWorld(t *testing.T, thresholds ...*schema.Threshold) *world {
	w := &world{t: t, machine: &schema.Machine{Name: "ph01", Group: "db", Host: "db01"}, thresholds: thresholds, asked: map[string]int{}}
	w.c = New(Options{
		Targets: func() []Target {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Clone(w.targets)
		},
		Known: func(string) (*schema.Machine, []*schema.Threshold) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.quiet {
				return nil, nil
			}
			return w.machine, w.thresholds
		},
		Deliver: w.deliver, Sampler: w, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// Sample implements Sampler.
func (w *world) Sample(_ context.Context, t Target, _ *Counters) Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[t.Machine]++
	return w.reading
}

// deliver records as the leader does.
func (w *world) deliver(_ context.Context, events []*schema.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuses > 0 {
		w.refuses--
		return fmt.Errorf("no leader")
	}
	for _, e := range events {
		w.events = append(w.events, e)
		threshold, metric := e.Varbinds[fsm.VarThreshold], e.Varbinds[fsm.VarMetric]
		m := &schema.Machine{Name: "ph01", Group: "db", Host: "db01"}
		for _, c := range w.machine.Crossed {
			if c.Event != threshold || c.Metric != metric {
				m.Crossed = append(m.Crossed, c)
			}
		}
		if e.Varbinds[fsm.VarState] == fsm.SamplesCrossed {
			m.Crossed = append(m.Crossed, &schema.Crossing{Event: threshold, Metric: metric, Host: "db/db01"})
		}
		w.machine = m
	}
	return nil
}

func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.c.Run(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// wait waits for a condition, checked with mu held.
func (w *world) wait(what string, cond func() bool) {
	w.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		w.mu.Lock()
		ok := cond()
		w.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for: %s; events %q", what, w.told())
		}
	}
}

// told are the events so far: id and state.
func (w *world) told() []string {
	var out []string
	for _, e := range w.events {
		out = append(out, e.EventId+" "+e.Varbinds[fsm.VarState])
	}
	return out
}

var start = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// put takes samples of CPU in, one a second from second on, and records what
// they raise.
func (w *world) put(second int, values ...float64) {
	for i, v := range values {
		got := Reading{Values: map[string]Value{schema.MetricCPU: {Percent: v}}}
		if math.IsNaN(v) {
			got = Reading{Bad: []Bad{{BadSilent, "no reply"}}}
		}
		w.c.Put("ph01", start.Add(time.Duration(second+i)*time.Second), time.Second, got)
		if batch := w.c.outbox.Batch(); len(batch) > 0 {
			_ = w.deliver(context.Background(), batch) // refused: the next sample tells it again
		}
	}
}

func (w *world) is(want ...string) {
	w.t.Helper()
	if got := w.told(); !slices.Equal(got, want) {
		w.t.Fatalf("told %q, want %q", got, want)
	}
}

var busy = &schema.Threshold{Event: "10000001", Metric: schema.MetricCPU, Value: 90, Times: 3, Recovery: "10000002"}

// lost is an answer that didn't come.
var lost = math.NaN()

func TestThreshold(t *testing.T) {
	const crossed, recovered = "10000001 crossed", "10000002 recovered"
	for name, c := range map[string]struct {
		threshold *schema.Threshold
		samples   []float64
		want      []string
	}{
		"three in a row":       {busy, []float64{95, 95, 95, 95, 95}, []string{crossed}},
		"not in a row":         {busy, []float64{95, 95, 50, 95, 95, 50, 95}, nil},
		"on the threshold":     {busy, []float64{90, 90, 90, 90}, nil},
		"recovered":            {busy, []float64{95, 95, 95, 50, 50, 50, 50, 50}, []string{crossed, recovered}},
		"not quite recovered":  {busy, []float64{95, 95, 95, 50, 50, 95, 50, 50}, []string{crossed}},
		"again":                {busy, []float64{95, 95, 95, 50, 50, 50, 95, 95, 95}, []string{crossed, recovered, crossed}},
		"one answer is lost":   {busy, []float64{95, 95, lost, 95, 95}, []string{crossed}},
		"lost answers alone":   {busy, []float64{lost, lost, lost, lost}, nil},
		"a row with a gap":     {busy, []float64{95, 95, lost, lost, lost, lost, 95, 50}, nil},
		"below":                {&schema.Threshold{Event: "11000001", Metric: schema.MetricCPU, Value: 20, Below: true, Times: 2}, []float64{10, 10, 30, 30}, []string{"11000001 crossed", "11000001 recovered"}},
		"three by itself":      {&schema.Threshold{Event: "10000001", Metric: schema.MetricCPU, Value: 90}, []float64{95, 95}, nil},
		"three by itself, all": {&schema.Threshold{Event: "10000001", Metric: schema.MetricCPU, Value: 90}, []float64{95, 95, 95}, []string{crossed}},
		"another metric":       {&schema.Threshold{Event: "10000001", Metric: schema.MetricDisk, Value: 1, Times: 1}, []float64{95, 95, 95}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.threshold)
			w.put(0, c.samples...)
			w.is(c.want...)
		})
	}
}

// TestHandedOver holds that another manager goes on with what the row says: a
// crossing isn't told again, and its recovery is.
func TestHandedOver(t *testing.T) {
	w := newWorld(t, busy)
	w.put(0, 95, 95, 95)
	next := newWorld(t, busy)
	next.machine = w.machine
	next.put(10, 95, 95, 95, 95)
	next.is()
	next.put(20, 50, 50, 50)
	next.is("10000002 recovered")
}

// TestToldAgain holds that what the leader didn't take is told again.
func TestToldAgain(t *testing.T) {
	w := newWorld(t, busy)
	w.refuses = 2
	w.put(0, 95, 95, 95, 95)
	w.is()
	w.put(4, 95, 95)
	w.is("10000001 crossed")
}

// TestQuiet holds that what came while nothing was to be told isn't counted afterwards.
func TestQuiet(t *testing.T) {
	w := newWorld(t, busy)
	w.quiet = true
	w.put(0, 95, 95, 95, 95)
	w.quiet = false
	w.put(4, 95, 95)
	w.is()
	w.put(6, 95)
	w.is("10000001 crossed")
}

// TestWithdrawn holds that a crossing ends with its threshold, and that another
// value begins anew.
func TestWithdrawn(t *testing.T) {
	w := newWorld(t, busy)
	w.put(0, 95, 95, 95)
	w.thresholds = nil
	w.put(3, 95, 95)
	w.is("10000001 crossed", "10000001 withdrawn")
	w.thresholds = []*schema.Threshold{{Event: "10000001", Metric: schema.MetricCPU, Value: 80, Times: 2}}
	w.put(5, 95)
	w.thresholds = []*schema.Threshold{{Event: "10000001", Metric: schema.MetricCPU, Value: 70, Times: 2}}
	w.put(6, 95)
	w.is("10000001 crossed", "10000001 withdrawn")
	w.put(7, 95)
	w.is("10000001 crossed", "10000001 withdrawn", "10000001 crossed")
}

// TestRing holds that a ring keeps the newest samples, in order, and no more.
func TestRing(t *testing.T) {
	w := newWorld(t)
	const n = 3*RingSize + 17
	for i := range n {
		w.put(i, float64(i%100))
	}
	samples, problem := w.c.Samples("ph01", time.Time{})
	got := samples[schema.MetricCPU]
	if len(samples) != 1 || len(got) != RingSize || problem != "" {
		t.Fatalf("%d metrics, %d samples, %q", len(samples), len(got), problem)
	}
	for i, s := range got {
		second := n - RingSize + i
		if !s.Time.Equal(start.Add(time.Duration(second)*time.Second)) || s.Value != float64(second%100) {
			t.Fatalf("sample %d is %v of %s", i, s.Value, s.Time)
		}
	}
	if c := cap(w.c.machines["ph01"].rings[schema.MetricCPU].points); c > 2*RingSize {
		t.Errorf("the ring has room for %d", c)
	}
	since, _ := w.c.Samples("ph01", start.Add((n-10)*time.Second))
	if len(since[schema.MetricCPU]) != 10 {
		t.Errorf("%d of the newest 10", len(since[schema.MetricCPU]))
	}
	if other, _ := w.c.Samples("ph02", time.Time{}); len(other) != 0 {
		t.Errorf("samples of another machine: %v", other)
	}
}

// TestBad holds that bad answers are counted by reason and told, and raise nothing.
func TestBad(t *testing.T) {
	low := &schema.Threshold{Event: "10000001", Metric: schema.MetricCPU, Value: 1, Times: 1}
	w := newWorld(t, low)
	for i, reason := range []Reason{BadSilent, BadMissing, BadMissing, BadCounter, BadNonsense} {
		w.c.Put("ph01", start.Add(time.Duration(i)*time.Second), time.Second, Reading{Bad: []Bad{{reason, "it says so"}}})
	}
	var loads Reading
	loads.load(schema.MetricCPU, 130, 100)
	loads.load(schema.MetricMemory, -1, 100)
	loads.load(schema.MetricDisk, 1, 0)
	w.c.Put("ph01", start.Add(time.Minute), time.Second, loads)
	if n := w.c.outbox.Batch(); len(n) > 0 {
		t.Errorf("told %v", n)
	}
	want := map[Reason]uint64{BadSilent: 1, BadMissing: 2, BadCounter: 1, BadNonsense: 4}
	if s := w.c.Stats(); fmt.Sprint(s.Bad) != fmt.Sprint(want) || s.Samples != 0 {
		t.Errorf("stats %+v, want %v", s, want)
	}
	if _, problem := w.c.Samples("ph01", time.Time{}); problem == "" {
		t.Error("the problem isn't told")
	}
	w.put(100, 0)
	if _, problem := w.c.Samples("ph01", time.Time{}); problem != "" {
		t.Errorf("it is told on: %s", problem)
	}
}

// TestRun holds that the share is asked at its interval, that a machine that
// leaves it isn't asked any more, and that its samples stay.
func TestRun(t *testing.T) {
	w := newWorld(t, busy)
	w.reading = Reading{Values: map[string]Value{schema.MetricCPU: {Percent: 95}}}
	for i := range 300 {
		w.targets = append(w.targets, Target{Machine: fmt.Sprintf("ph%02d", i+1), Interval: 100 * time.Millisecond})
	}
	w.run()
	w.wait("all to be asked thrice", func() bool {
		for _, target := range w.targets {
			if w.asked[target.Machine] < 3 {
				return false
			}
		}
		return len(w.events) > 0
	})
	w.mu.Lock()
	w.targets = w.targets[1:]
	w.mu.Unlock()
	w.wait("the share to be taken over", func() bool { return w.c.Stats().Targets == 299 })
	w.mu.Lock()
	before, other := w.asked["ph01"], w.asked["ph02"]
	w.mu.Unlock()
	w.wait("the others to be asked on", func() bool { return w.asked["ph02"] > other+3 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked["ph01"] > before+1 { // one may have been under way
		t.Errorf("ph01 was asked %d times more", w.asked["ph01"]-before)
	}
	if samples, _ := w.c.Samples("ph01", time.Time{}); len(samples[schema.MetricCPU]) < 3 {
		t.Errorf("its samples are %v", samples)
	}
}
