package performance

import (
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// PutLoads takes the loads of a hypervisor's manager in, which are read more
// often than a group asks for samples: those of the VM servers and VMs whose
// group is sampled, once an interval.
func (c *Collector) PutLoads(r fsm.Reader, subsystem string, l *drivers.Loads, at time.Time) {
	put := func(name string, read func(m *schema.Machine, got *Reading)) {
		m, ok := fsm.Machines.Get(r, name)
		if !ok || m.Subsystem != subsystem || !fsm.Sampled(m) {
			return
		}
		g, ok := fsm.Groups.Get(r, m.Group)
		if !ok || g.Performance == nil {
			return
		}
		interval := Interval(g.Performance)
		if !c.due(name, at, interval) {
			return
		}
		var got Reading
		read(m, &got)
		c.Put(name, at, interval, got)
	}
	for _, s := range l.Servers {
		put(s.Name, func(_ *schema.Machine, got *Reading) {
			got.load(schema.MetricCPU, float64(s.CPUMHz), float64(s.CPUTotalMHz))
			got.load(schema.MetricMemory, float64(s.MemMiB), float64(s.MemTotalMiB))
		})
	}
	for _, vm := range l.VMs {
		put(vm.Name, func(m *schema.Machine, got *Reading) {
			got.load(schema.MetricMemory, float64(vm.MemMiB), float64(m.MemoryMib))
			// A virtual CPU has what one of its VM server's has.
			if s, ok := fsm.Machines.Get(r, vm.Server); ok && s.Cpus > 0 {
				got.load(schema.MetricCPU, float64(vm.CPUMHz), float64(m.Cpus)*float64(s.CpuMhz)/float64(s.Cpus))
			}
		})
	}
}

// due tells whether the next sample of a machine is. Readings come at their own
// pace, so that the nearest one to the interval counts.
func (c *Collector) due(machine string, at time.Time, interval time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.machines[machine]
	return r == nil || at.Sub(r.taken) >= interval-interval/10
}
