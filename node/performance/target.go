package performance

import (
	"cmp"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/monitor"
)

// Target is a physical machine to sample.
type Target struct {
	Machine   string
	Address   string // IP address, or a name
	Port      int
	Community string // SNMP v2c
	Interval  time.Duration
}

// What a group's performance setting says where it is silent.
const (
	defaultInterval  = 30 * time.Second
	defaultPort      = 161
	defaultCommunity = "public"
)

// Interval is the time between two samples of a group's machines.
func Interval(p *schema.Performance) time.Duration {
	return cmp.Or(time.Duration(p.GetIntervalSeconds())*time.Second, defaultInterval)
}

// Share are the physical machines that this manager samples, of the live ones.
// unseal opens the community of a group. A machine without an address can't be
// sampled.
func Share(r fsm.Reader, unseal func([]byte) ([]byte, error), live []string, self string) []Target {
	var out []Target
	for m := range fsm.Machines.All(r) {
		if m.Kind != schema.MachinePhysical || !fsm.Sampled(m) || monitor.Owner(m.Name, live) != self {
			continue
		}
		g, ok := fsm.Groups.Get(r, m.Group)
		if !ok || g.Performance == nil {
			continue
		}
		community, err := unseal(g.Performance.Community)
		if err != nil {
			continue
		}
		t := Target{
			Machine: m.Name, Address: monitor.Address(r, m), Port: cmp.Or(int(g.Performance.Port), defaultPort),
			Community: cmp.Or(string(community), defaultCommunity), Interval: Interval(g.Performance),
		}
		if t.Address != "" {
			out = append(out, t)
		}
	}
	return out
}
