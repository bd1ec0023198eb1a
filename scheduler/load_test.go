package scheduler

import (
	"testing"
	"time"

	"yagura/fsm/schema"
)

// TestCrossing holds when a load raises an event: after several samples in a
// row, once until it has recovered, and again while it lasts, ever more rarely.
func TestCrossing(t *testing.T) {
	p := &schema.Placement{Enabled: true, Low: 20, TargetLow: 30, TargetHigh: 60, High: 80, HoldSeconds: 10}
	const high, low = perfHighLoad, perfLowLoad
	for name, c := range map[string]struct {
		loads []float64
		want  []string // after each
	}{
		"a peak":                 {[]float64{90, 90, 50, 90, 90}, []string{"", "", "", "", ""}},
		"at the boundary":        {[]float64{80, 80, 80, 20, 20, 20}, []string{"", "", "", "", "", ""}},
		"high":                   {[]float64{81, 99, 90}, []string{"", "", high}},
		"low":                    {[]float64{10, 19, 0}, []string{"", "", low}},
		"once":                   {[]float64{90, 90, 90, 90}, []string{"", "", high, ""}},
		"not recovered":          {[]float64{90, 90, 90, 70, 70, 90}, []string{"", "", high, "", "", ""}},
		"again, while it lasts":  {[]float64{90, 90, 90, 90, 90, 90, 90, 90, 90}, []string{"", "", high, "", high, "", "", "", high}},
		"recovered, then again":  {[]float64{90, 90, 90, 60, 90, 90, 90}, []string{"", "", high, "", "", "", high}},
		"from high to low":       {[]float64{90, 90, 90, 10, 10, 10}, []string{"", "", high, "", "", low}},
		"low, recovered, low":    {[]float64{5, 5, 5, 25, 30, 5, 5, 5}, []string{"", "", low, "", "", "", "", low}},
		"low and not recovered":  {[]float64{5, 5, 5, 25, 5}, []string{"", "", low, "", ""}},
		"between, after a start": {[]float64{40, 45, 50}, []string{"", "", ""}},
	} {
		c1, now := &crossing{}, time.Unix(0, 0)
		for i, load := range c.loads {
			if got := c1.count(load, p, now); got != c.want[i] {
				t.Errorf("%s: sample %d (%.0f %%) raises %q, want %q", name, i+1, load, got, c.want[i])
			}
			now = now.Add(samplePeriod)
		}
	}
}
