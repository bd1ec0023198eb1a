package policy

import (
	"maps"
	"sync"

	"yagura/fsm/schema"
)

// Brake says which brake holds back what an event asks for. All but the storm
// have the name of the setting that they are set by.
type Brake string

// Brakes.
const (
	BrakeStorm             Brake = "storm"
	BrakeFlap              Brake = "flap_count"
	BrakeJobs              Brake = "brake_jobs"
	BrakeGroupJobs         Brake = "brake_jobs_per_group"
	BrakeHold              Brake = "replace_hold_seconds"
	BrakeReplacements      Brake = "brake_replacements"
	BrakeGroupReplacements Brake = "max_replacements"
	BrakeMinHealthy        Brake = "min_healthy"
)

// Brakes are all of them.
func Brakes() []Brake {
	return []Brake{BrakeStorm, BrakeFlap, BrakeJobs, BrakeGroupJobs, BrakeHold, BrakeReplacements, BrakeGroupReplacements, BrakeMinHealthy}
}

// Decisions are all decisions that are made on events by policy.
func Decisions() []string {
	return []string{
		schema.DecisionActed, schema.DecisionSuppressed, schema.DecisionRecovered, schema.DecisionIgnored, schema.DecisionBraked, schema.DecisionDisarmed, schema.DecisionMaintenance,
	}
}

// Outcome counts what one write, or all of them, made of events. An event that is
// decided on anew, such as one that has waited for a recovery, counts again.
type Outcome struct {
	New       uint64 // became a row
	Repeated  uint64 // made none: it equals an earlier one, or was told again
	Decisions map[string]uint64
	Brakes    map[Brake]uint64 // of the decisions DecisionBraked
}

// Decided counts a decision; brake is empty unless it is DecisionBraked.
func (o *Outcome) Decided(decision string, brake Brake) {
	if o.Decisions == nil {
		o.Decisions = map[string]uint64{}
	}
	o.Decisions[decision]++
	if brake == "" {
		return
	}
	if o.Brakes == nil {
		o.Brakes = map[Brake]uint64{}
	}
	o.Brakes[brake]++
}

// Counts adds up the outcomes of what one manager has written while it led. A
// write whose fate is unknown doesn't count. The zero value is ready; nil counts nothing.
type Counts struct {
	mu    sync.Mutex // guards total
	total Outcome
}

// Add adds the outcome of a write that is committed.
func (c *Counts) Add(o Outcome) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total.New += o.New
	c.total.Repeated += o.Repeated
	c.total.Decisions = sum(c.total.Decisions, o.Decisions)
	c.total.Brakes = sum(c.total.Brakes, o.Brakes)
}

func sum[K comparable](to, of map[K]uint64) map[K]uint64 {
	if to == nil {
		to = map[K]uint64{}
	}
	for k, n := range of {
		to[k] += n
	}
	return to
}

// Total is what was added so far.
func (c *Counts) Total() Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.total
	o.Decisions, o.Brakes = maps.Clone(o.Decisions), maps.Clone(o.Brakes)
	return o
}
