package fsm

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// SampleStream follows a manager's name in the name of the stream of events
// that its samples of machines make, which has numbers of its own.
const SampleStream = "/performance"

// Events of samples.
const (
	PerformanceSource = "Performance"
	// Categories of SystemMonitor's events [4.1.3] that aren't for any machine.
	categoryGroup    = "group-custom"
	categoryVMServer = "vm-server"
)

// Variables of an event of samples, and the values of VarState.
const (
	VarThreshold = "threshold" // event of the threshold
	VarMetric    = "metric"
	VarState     = "state"
	VarValue     = "value" // of the newest sample, percent
	VarLimit     = "limit" // of the threshold, percent

	SamplesCrossed   = "crossed"
	SamplesRecovered = "recovered"
	SamplesWithdrawn = "withdrawn" // the threshold isn't in force any more
)

// Sampled tells whether a machine is to be sampled as its group says: one in
// operation.
func Sampled(m *schema.Machine) bool {
	return m.Group != "" && m.Host != "" && !m.Gone && (m.Power == schema.PowerOn || m.Power == schema.PowerUnknown)
}

// Told tells whether samples of a machine raise events now: not while a job
// works on it, or while it is out of service on purpose.
func Told(m *schema.Machine) bool {
	return Sampled(m) && !m.Maintenance && m.Status != schema.StatusInUse
}

// Thresholds are those in force for a machine: for each event its own, else its
// model's, else its group's; ordered by event and metric. Where the model of a
// VM server has VM placement on, its boundaries alone say what high and low
// load are [1.3.6].
func Thresholds(r Reader, m *schema.Machine) []*schema.Threshold {
	model, _ := Models.Get(r, GroupKey(m.Group, m.Model))
	group, _ := Groups.Get(r, m.Group)
	var out []*schema.Threshold
	taken := map[string]bool{}
	for _, list := range [][]*schema.Threshold{m.Thresholds, model.GetThresholds(), group.GetThresholds()} {
		var here []string
		for _, t := range list {
			if taken[t.Event] {
				continue
			}
			here = append(here, t.Event)
			if !t.Off && !(model.GetPlacement().GetEnabled() && boundary(t)) {
				out = append(out, t)
			}
		}
		for _, event := range here {
			taken[event] = true
		}
	}
	slices.SortFunc(out, func(a, b *schema.Threshold) int {
		return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.Metric, b.Metric))
	})
	return out
}

// Crossed is what was raised of a threshold, and not recovered since; nil for nothing.
func Crossed(m *schema.Machine, event, metric string) *schema.Crossing {
	for _, c := range m.Crossed {
		if c.Event == event && c.Metric == metric && c.Host == GroupKey(m.Group, m.Host) {
			return c
		}
	}
	return nil
}

// boundary tells whether a threshold is for high or low load of a VM server.
func boundary(t *schema.Threshold) bool { return perfCategory(t.Event) == categoryVMServer }

func perfCategory(event string) string { return catalog.CategoryOf(schema.NotifierPerf, "", event) }

// newsOfSamples notes on the machine what samples say of it, and tells whether
// that is an event: a threshold that is crossed is told once until it has
// recovered, whoever samples the machine, and an event for group actions once
// for its group, by the first machine that crosses and the last that recovers.
func newsOfSamples(tx *Tx, e *schema.Event) (bool, error) {
	event, metric, state := e.Varbinds[VarThreshold], e.Varbinds[VarMetric], e.Varbinds[VarState]
	if e.Notifier != schema.NotifierPerf || e.Source != PerformanceSource || perfCategory(event) == "" || perfCategory(e.EventId) == "" ||
		state != SamplesCrossed && state != SamplesRecovered && state != SamplesWithdrawn {
		return false, schema.Errorf(schema.KindInvalid, "events of samples", "%s %s of threshold %q, %q isn't an event of samples", e.Source, e.EventId, event, state)
	}
	m, ok := Machines.Edit(tx, e.Target)
	if !ok || m.Group == "" {
		return false, nil
	}
	i := slices.IndexFunc(Thresholds(tx, m), func(t *schema.Threshold) bool { return t.Event == event && t.Metric == metric })
	before := Crossed(m, event, metric) != nil
	switch {
	case before == (state == SamplesCrossed), state == SamplesWithdrawn == (i >= 0), state != SamplesWithdrawn && !Told(m):
		return false, nil
	}
	place := GroupKey(m.Group, m.Host)
	m.Crossed = slices.DeleteFunc(m.Crossed, func(c *schema.Crossing) bool {
		return c.Host != place || c.Event == event && c.Metric == metric
	})
	if state == SamplesCrossed {
		m.Crossed = append(m.Crossed, &schema.Crossing{Event: event, Metric: metric, Since: timestamppb.New(tx.Now()), Host: place})
	}
	if err := Machines.Put(tx, m); err != nil {
		return false, err
	}
	// A recovery without an event of its own is noted on the machine alone.
	if state == SamplesWithdrawn || state == SamplesRecovered && e.EventId == event {
		return false, nil
	}
	return perfCategory(event) != categoryGroup || !crossedByOthers(tx, m, event, metric), nil
}

// crossedByOthers tells whether another machine of the group has crossed the same threshold.
func crossedByOthers(r Reader, m *schema.Machine, event, metric string) bool {
	for o := range Machines.By(r, ByGroup, m.Group) {
		if o.Name != m.Name && Told(o) && Crossed(o, event, metric) != nil {
			return true
		}
	}
	return false
}

// normalThresholds writes event ids in their usual form.
func normalThresholds(list []*schema.Threshold) {
	for _, t := range list {
		t.Event, t.Recovery = catalog.NormalID(t.Event), catalog.NormalID(t.Recovery)
	}
}

// checkThresholds holds thresholds against the events that SystemMonitor has.
// kind is that of the machines, empty when it isn't known.
func checkThresholds(list []*schema.Threshold, kind string) error {
	for i, t := range list {
		for _, id := range []string{t.Event, t.Recovery} {
			category := perfCategory(id)
			switch {
			case id == "":
			case category == "":
				return specError("thresholds[%d]: %s is no event of %s", i, id, schema.NotifierPerf).
					WithHint("machines have 10000001 to 1000000A, groups 11000001 to 11000005, VM servers 11000006 and 11000007")
			case category == categoryVMServer && kind != "" && kind != schema.MachineVMServer:
				return specError("thresholds[%d]: event %s is for VM servers, this is of kind %s", i, id, kind)
			}
		}
		if t.Metric == schema.MetricDisk && kind != "" && kind != schema.MachinePhysical {
			return specError("thresholds[%d]: disk is sampled on physical machines, this is of kind %s", i, kind).
				WithHint("VM servers and VMs have %s and %s", schema.MetricCPU, schema.MetricMemory)
		}
	}
	return nil
}
