package planning

import (
	"sync"
	"time"
)

// Load is the measured load of one VM server and of the VMs on it.
type Load struct {
	Time              time.Time
	CPUMHz, CPUTotal  int64 // used by the VM server and its VMs; what it has
	MemMiB, MemTotal  int64
	VMCPUMHz, VMemMiB map[string]int64 // by VM: what it uses
}

// Percent is the load of the VM server: the greater share of its CPU and its
// memory in use.
func (l Load) Percent() float64 { return max(share(l.CPUMHz, l.CPUTotal), share(l.MemMiB, l.MemTotal)) }

func share(used, total int64) float64 {
	if total <= 0 {
		return 0
	}
	return 100 * float64(used) / float64(total)
}

// Fresh is how long a sample is good for a plan.
const Fresh = time.Minute

// Meter keeps the newest sample of each VM server. It is bounded by their
// number. The scheduler of the leader fills it, whoever plans reads it; it may
// be used from any goroutine.
type Meter struct {
	mu    sync.Mutex // guards loads; a Load is never changed once it is there
	loads map[string]Load
}

// Put takes the samples of one reading, by VM server.
func (m *Meter) Put(loads map[string]Load) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loads == nil {
		m.loads = map[string]Load{}
	}
	for name, l := range loads {
		m.loads[name] = l
	}
}

// Keep forgets the VM servers that keep doesn't name.
func (m *Meter) Keep(keep func(server string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.loads {
		if !keep(name) {
			delete(m.loads, name)
		}
	}
}

// Loads are the samples that are fresh at a time, by VM server. A nil Meter has none.
func (m *Meter) Loads(now time.Time) map[string]Load {
	out := map[string]Load{}
	if m == nil {
		return out
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, l := range m.loads {
		if now.Sub(l.Time) <= Fresh {
			out[name] = l
		}
	}
	return out
}
