package performance

import (
	"fmt"
	"math"
)

// Reading is what one look at a machine gave.
type Reading struct {
	Values map[string]Value // by metric
	Bad    []Bad            // what was no sample
	// Counters are what the next look's CPU is measured from.
	Counters *Counters
}

// Value is a measurement, percent, and what it is of where that isn't plain,
// such as the fullest disk.
type Value struct {
	Percent float64
	Of      string
}

// Reason says why an answer is no sample.
type Reason string

// The reasons.
const (
	BadSilent   Reason = "no-answer" // the machine didn't answer
	BadMissing  Reason = "missing"   // its agent has none of the objects of a metric
	BadCounter  Reason = "counter"   // a counter went back: it wrapped, or the machine has started anew
	BadNonsense Reason = "nonsense"  // a value that can't be
)

// Reasons are all reasons.
func Reasons() []Reason { return []Reason{BadSilent, BadMissing, BadCounter, BadNonsense} }

// Bad is an answer that is no sample.
type Bad struct {
	Reason Reason
	Text   string
}

// bad notes an answer that is no sample.
func (r *Reading) bad(reason Reason, format string, args ...any) {
	r.Bad = append(r.Bad, Bad{reason, fmt.Sprintf(format, args...)})
}

// share notes a metric as the part of a whole.
func (r *Reading) share(metric string, used, total float64, of string) {
	p := 100 * used / total
	switch {
	case total <= 0 || math.IsNaN(p) || p < 0 || p > 100:
		r.bad(BadNonsense, "%s: %.0f of %.0f is in use", metric, used, total)
		return
	case r.Values == nil:
		r.Values = map[string]Value{}
	}
	r.Values[metric] = Value{p, of}
}

// slack is how much more than all may be in use in the measurements of a
// hypervisor's manager, which rounds, and whose processors may run faster than
// they are rated.
const slack = 1.25

// load notes a metric that a hypervisor's manager has measured.
func (r *Reading) load(metric string, used, total float64) {
	if total > 0 && used <= total*slack {
		used = min(used, total)
	}
	r.share(metric, used, total, "")
}
