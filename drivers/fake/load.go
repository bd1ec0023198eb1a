package fake

import (
	"cmp"
	"context"
	"slices"

	"yagura/drivers"
)

// Loads implements drivers.Hypervisor.
func (h *Hypervisor) Loads(ctx context.Context) (*drivers.Loads, error) {
	out := &drivers.Loads{}
	err := h.w.read(ctx, h.w.system, OpLoads, "", func() error {
		out.Time = h.w.now()
		for _, x := range h.w.hosts {
			if !x.connected() {
				continue
			}
			s := h.w.viewServer(x)
			out.Servers = append(out.Servers, drivers.ServerLoad{
				Name: s.Name, CPUMHz: s.CPUUsedMHz, CPUTotalMHz: s.CPUTotalMHz, MemMiB: s.MemUsedMiB, MemTotalMiB: s.MemoryMiB,
			})
		}
		for _, m := range h.w.vms {
			if x := h.w.hosts[m.v.Server]; m.v.Power == drivers.PowerOn && x.connected() {
				out.VMs = append(out.VMs, drivers.VMLoad{Name: m.v.Name, Server: x.name, CPUMHz: m.v.CPUMHz, MemMiB: m.v.MemoryMiB})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out.Servers, func(a, b drivers.ServerLoad) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(out.VMs, func(a, b drivers.VMLoad) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}
