package scheduler

import (
	"context"
	"fmt"
	"sync"
	"time"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

const (
	// samplePeriod is the time between two readings of the loads.
	samplePeriod = 5 * time.Second
	// crossings is how many samples in a row must be beyond a boundary for an
	// event: a peak of a few seconds is no reason to move VMs.
	crossings = 3
	// maxRepeat bounds the time after which an event is raised again while the
	// load stays beyond its boundary.
	maxRepeat = time.Hour
)

// Events of SystemMonitor's performance monitoring on VM servers [4.1.3].
const (
	perfHighLoad = "11000006"
	perfLowLoad  = "11000007"
	perfSource   = "VMServerLoad"
)

// measure reads the loads of the VM servers whose model has VM placement
// switched on, keeps the newest ones in the meter, and raises an event when a
// VM server's load crosses a boundary of its model. Readings of the VM servers
// and VMs that are sampled for their group go to Config.Loads too. Samples are no
// rows. It sleeps while nobody wants any.
func (t *leadership) measure(ctx context.Context) {
	w := loadWatch{}
	for ctx.Err() == nil {
		changed := t.Store.Watch(fsm.Models, fsm.Groups)
		if v := t.Store.View(); !placementOn(v) && !samplingOn(v) {
			clear(w)
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		t.sample(ctx)
		if events := w.look(t.Store.View(), t.Meter.Loads(t.Clock.Now()), t.Clock.Now()); len(events) > 0 {
			t.raise(ctx, w, events)
		}
		t.wait(ctx, nil, samplePeriod)
	}
}

func placementOn(r fsm.Reader) bool {
	for m := range fsm.Models.All(r) {
		if m.Placement.GetEnabled() {
			return true
		}
	}
	return false
}

// samplingOn tells whether a group of VM servers or VMs is sampled.
func samplingOn(r fsm.Reader) bool {
	for g := range fsm.Groups.All(r) {
		if g.Performance != nil && g.Kind != schema.MachinePhysical {
			return true
		}
	}
	return false
}

// sampled tells whether the loads of a machine are wanted for its group.
func sampled(r fsm.Reader, m *schema.Machine) bool {
	if m.Subsystem == "" || m.Kind == schema.MachinePhysical || !fsm.Sampled(m) {
		return false
	}
	g, ok := fsm.Groups.Get(r, m.Group)
	return ok && g.Performance != nil
}

// sample reads all subsystems once, side by side, each within two periods.
func (t *leadership) sample(ctx context.Context) {
	subsystems, known := map[string]bool{}, map[string]bool{}
	v := t.Store.View()
	for m := range fsm.Machines.All(v) {
		if policy.PlacementOf(v, m) != nil {
			subsystems[m.Subsystem], known[m.Name] = true, true
		} else if sampled(v, m) {
			subsystems[m.Subsystem] = true
		}
	}
	t.Meter.Keep(func(server string) bool { return known[server] })
	ctx, cancel := t.Clock.WithTimeout(ctx, 2*samplePeriod)
	defer cancel()
	var wg sync.WaitGroup
	for name := range subsystems {
		wg.Go(func() { t.sampleOne(ctx, name, known) })
	}
	wg.Wait()
}

// sampleOne reads one subsystem. That it can't be read is told by its follower.
func (t *leadership) sampleOne(ctx context.Context, subsystem string, known map[string]bool) {
	h, err := t.Drivers.Hypervisor(ctx, subsystem)
	if err != nil {
		return
	}
	got, err := h.Loads(ctx)
	if err != nil {
		t.log.Debug("loads can't be read", "subsystem", subsystem, "err", err)
		return
	}
	if t.Loads != nil {
		t.Loads(subsystem, got)
	}
	now := t.Clock.Now()
	loads := map[string]planning.Load{}
	for _, s := range got.Servers {
		if known[s.Name] {
			loads[s.Name] = planning.Load{
				Time: now, CPUMHz: s.CPUMHz, CPUTotal: s.CPUTotalMHz, MemMiB: s.MemMiB, MemTotal: s.MemTotalMiB,
				VMCPUMHz: map[string]int64{}, VMemMiB: map[string]int64{},
			}
		}
	}
	for _, vm := range got.VMs {
		if l, ok := loads[vm.Server]; ok {
			l.VMCPUMHz[vm.Name], l.VMemMiB[vm.Name] = vm.CPUMHz, vm.MemMiB
		}
	}
	t.Meter.Put(loads)
}

// raise records events. One that can't be written is raised anew with the next sample.
func (t *leadership) raise(ctx context.Context, w loadWatch, events []*schema.Event) {
	err := t.update(ctx, "RaiseLoad", func(tx *fsm.Tx) error {
		for _, e := range events {
			if err := fsm.RaiseEvent(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return
	}
	for _, e := range events {
		delete(w, e.Target)
	}
	if !lost(err) {
		t.log.Error("events of loads can't be recorded", "err", err)
	}
}

// loadWatch is what was seen of the load of each VM server.
type loadWatch map[string]*crossing

// crossing is how one VM server's load stands to the boundaries.
type crossing struct {
	setting   string    // what it was held against: another policy or boundary begins anew
	sampled   time.Time // of the last sample counted
	high, low int       // samples in a row beyond the boundary
	raised    string    // event that was raised and from which the load hasn't recovered
	again     time.Time // when it is raised again if that lasts
	pause     time.Duration
}

// look counts new samples and returns the events to raise.
func (w loadWatch) look(r fsm.Reader, loads map[string]planning.Load, now time.Time) []*schema.Event {
	var out []*schema.Event
	for name := range w {
		if _, ok := loads[name]; !ok {
			delete(w, name)
		}
	}
	for m := range fsm.Machines.All(r) {
		l, ok := loads[m.Name]
		p := policy.PlacementOf(r, m)
		if !ok || p == nil || !m.Connected {
			delete(w, m.Name)
			continue
		}
		inForce, _ := policy.InForce(r, m)
		setting := fmt.Sprint(inForce.GetName(), " ", p.High, p.TargetHigh, p.TargetLow, p.Low)
		c := w[m.Name]
		if c == nil || c.setting != setting {
			c = &crossing{setting: setting}
			w[m.Name] = c
		}
		if !l.Time.After(c.sampled) {
			continue
		}
		c.sampled = l.Time
		id := c.count(l.Percent(), p, now)
		if id == "" {
			continue
		}
		// Low load is no fault: it is told only where a policy asks for it.
		if e := loadEvent(m.Name, id, l, p, c); id != perfLowLoad || inForce != nil && policy.RuleFor(inForce, e, now) != nil {
			out = append(out, e)
		}
	}
	return out
}

// count counts a sample and returns the event to raise, or "".
func (c *crossing) count(percent float64, p *schema.Placement, now time.Time) string {
	c.high, c.low = next(c.high, percent > float64(p.High)), next(c.low, percent < float64(p.Low))
	switch {
	case c.raised == perfHighLoad && percent <= float64(p.TargetHigh), c.raised == perfLowLoad && percent >= float64(p.TargetLow):
		c.raised = ""
	case c.raised == perfHighLoad && c.high >= crossings && !now.Before(c.again), c.raised == perfLowLoad && c.low >= crossings && !now.Before(c.again):
		c.pause = min(2*c.pause, maxRepeat)
		c.again = now.Add(c.pause)
		return c.raised
	}
	id := ""
	switch {
	case c.high >= crossings && c.raised != perfHighLoad:
		id = perfHighLoad
	case c.low >= crossings && c.raised != perfLowLoad:
		id = perfLowLoad
	default:
		return ""
	}
	c.raised, c.pause = id, planning.Hold(p)
	c.again = now.Add(c.pause)
	return id
}

func next(n int, beyond bool) int {
	if !beyond {
		return 0
	}
	return n + 1
}

func loadEvent(server, id string, l planning.Load, p *schema.Placement, c *crossing) *schema.Event {
	side, bound, n := "above the high", p.High, c.high
	if id == perfLowLoad {
		side, bound, n = "below the low", p.Low, c.low
	}
	return &schema.Event{
		Notifier: schema.NotifierPerf, Source: perfSource, EventId: id, Target: server,
		Text: fmt.Sprintf("load of %s is %.0f %%, %s boundary of %d %%, for %d samples in a row (CPU %d of %d MHz, memory %d of %d MiB)",
			server, l.Percent(), side, bound, n, l.CPUMHz, l.CPUTotal, l.MemMiB, l.MemTotal),
	}
}
