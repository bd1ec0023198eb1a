package monitor

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// Target is a machine to poll.
type Target struct {
	Machine   string
	Address   string // IP address, or a name
	Kind      string // schema.MonitorICMP, MonitorTCP or MonitorSNMP
	Port      int
	Community string // SNMP
	Interval  time.Duration
	Misses    int // polls in a row without answer after which it counts as unreachable
}

// What a group's monitoring says where it is silent.
const (
	defaultInterval = 10 * time.Second
	defaultMisses   = 3
	defaultSNMP     = 161
	defaultSecret   = "public"
)

// Targets are all machines to poll now. unseal opens the community of a group.
// A machine without an address isn't polled: nobody could tell it from a dead one.
func Targets(r fsm.Reader, unseal func([]byte) ([]byte, error)) []Target {
	var out []Target
	for m := range fsm.Machines.All(r) {
		if !fsm.Polled(m) {
			continue
		}
		g, ok := fsm.Groups.Get(r, m.Group)
		if !ok || g.Monitoring == nil {
			continue
		}
		t := Target{
			Machine: m.Name, Address: Address(r, m), Kind: g.Monitoring.Kind, Port: int(g.Monitoring.Port),
			Interval: time.Duration(g.Monitoring.IntervalSeconds) * time.Second, Misses: int(g.Monitoring.Misses),
		}
		t.Interval = cmp.Or(t.Interval, defaultInterval)
		t.Misses = cmp.Or(t.Misses, defaultMisses)
		if t.Kind == schema.MonitorSNMP {
			t.Port = cmp.Or(t.Port, defaultSNMP)
			secret, err := unseal(g.Monitoring.Community)
			if err != nil {
				continue
			}
			t.Community = cmp.Or(string(secret), defaultSecret)
		}
		if t.Address != "" {
			out = append(out, t)
		}
	}
	return out
}

// Address is where a machine's operating system is reached: the first address
// of the host setting under which it runs, else its own.
func Address(r fsm.Reader, m *schema.Machine) string {
	if h, ok := fsm.Hosts.Get(r, fsm.GroupKey(m.Group, m.Host)); ok {
		for _, nic := range h.Nics {
			for _, a := range nic.Addresses {
				if ip, err := netip.ParseAddr(a.Ip); err == nil {
					return ip.String()
				}
			}
		}
	}
	return m.Address
}

// Share is what one manager has to poll of all targets.
func Share(all []Target, live []string, self string) []Target {
	var out []Target
	for _, t := range all {
		if Owner(t.Machine, live) == self {
			out = append(out, t)
		}
	}
	return out
}

// Owner is the manager that looks after a machine, by rendezvous hashing: the
// live one with the highest hash of both names, so that a manager that goes or
// comes moves only its own share.
func Owner(machine string, live []string) string {
	best, owner := uint64(0), ""
	for _, node := range live {
		if w := weight(machine, node); owner == "" || w > best || w == best && node < owner {
			best, owner = w, node
		}
	}
	return owner
}

func weight(machine, node string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(machine + "\x00" + node))
	// FNV's high bits hardly depend on the last bytes: mix them (MurmurHash3's finaliser).
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
