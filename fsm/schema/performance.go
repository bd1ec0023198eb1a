package schema

// Metrics that machines are sampled for, percent of what they have.
const (
	MetricCPU    = "cpu"
	MetricMemory = "memory"
	MetricDisk   = "disk" // the fullest one
)

// Metrics are all metrics, in the order in which people list them.
func Metrics() []string { return []string{MetricCPU, MetricMemory, MetricDisk} }

// DefaultTimes is how many samples in a row must be beyond a threshold that
// doesn't say it.
const DefaultTimes = 3

// maxThresholds bounds the thresholds of one object.
const maxThresholds = 64

// validate checks how machines of a group are sampled.
func (p *Performance) validate(o, groupKind string) error {
	if p == nil {
		return nil
	}
	if err := firstError(
		between(o, "performance.interval_seconds", int64(p.IntervalSeconds), 0, 3600),
		between(o, "performance.port", int64(p.Port), 0, 65535),
	); err != nil {
		return err
	}
	if groupKind != "" && groupKind != MachinePhysical && (p.Port != 0 || len(p.Community) > 0) {
		return Errorf(KindInvalid, o, "performance.port and performance.community are for groups of kind physical, this one is %s", groupKind).
			WithHint("VM servers and VMs are sampled through their subsystem")
	}
	return nil
}

// checkThresholds checks a list of thresholds by itself.
func checkThresholds(o string, list []*Threshold) error {
	if len(list) > maxThresholds {
		return Errorf(KindTooLarge, o, "thresholds has %d entries, the limit is %d", len(list), maxThresholds)
	}
	type key struct{ event, metric string }
	seen := map[key]bool{}
	for _, t := range list {
		if t.Event == "" {
			return Errorf(KindInvalid, o, "a threshold has no event").WithHint("name one of SystemMonitor's events, such as 10000001")
		}
		k := key{t.Event, t.Metric}
		if seen[k] {
			return Errorf(KindInvalid, o, "two thresholds are for event %s and metric %s", t.Event, t.Metric).WithHint("give each pair once")
		}
		seen[k] = true
		if err := t.validate(o, "threshold "+t.Event+": "); err != nil {
			return err
		}
	}
	return nil
}

func (t *Threshold) validate(o, at string) error {
	if t.Off {
		if t.Metric != "" || t.Value != 0 || t.Times != 0 || t.Recovery != "" || t.Below {
			return Errorf(KindInvalid, o, "%soff stands beside other settings", at).WithHint("write the event and off alone")
		}
		return nil
	}
	if err := firstError(
		oneOf(o, at+"metric", t.Metric, false, Metrics()...),
		between(o, at+"value", int64(t.Value), 1, 99),
		between(o, at+"times", int64(t.Times), 0, 1000),
	); err != nil {
		return err
	}
	if t.Recovery == t.Event {
		return Errorf(KindInvalid, o, "%srecovery is the same event", at).WithHint("name another event, or none")
	}
	return nil
}
