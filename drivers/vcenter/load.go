package vcenter

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// loadTimeout bounds one reading of loads: a later one is of more use than a late one.
const loadTimeout = 30 * time.Second

// loadProps are what Loads reads. The memory that a VM server gives a VM is
// hostMemoryUsage (vSphere API reference, VirtualMachineQuickStats).
var loadProps = []types.PropertySpec{
	{Type: "HostSystem", PathSet: append([]string{
		"name", "runtime.connectionState", "summary.hardware.numCpuCores", "summary.hardware.cpuMhz", "summary.hardware.memorySize",
	}, hostLoadPaths...)},
	{Type: "VirtualMachine", PathSet: append([]string{"name", "runtime.host", "runtime.powerState"}, vmLoadPaths...)},
}

// Loads implements drivers.Hypervisor.
func (d *Driver) Loads(ctx context.Context) (*drivers.Loads, error) {
	var out *drivers.Loads
	err := d.doFor(ctx, loadTimeout, request{"loads", "everything", false}, func(ctx context.Context, c *vim25.Client) error {
		v, objects, err := d.inView(ctx, c, []string{"HostSystem", "VirtualMachine"})
		if err != nil {
			return err
		}
		defer d.discard(ctx, v.Destroy)
		all := newCatalog()
		if err := retrieve(ctx, c, types.PropertyFilterSpec{ObjectSet: objects, PropSet: loadProps}, all.put); err != nil {
			return err
		}
		out = all.loads(time.Now())
		return nil
	})
	return out, err
}

// loads puts together what VM servers that answer, and the VMs that run on them, use.
func (c *catalog) loads(now time.Time) *drivers.Loads {
	out := &drivers.Loads{Time: now}
	for _, h := range c.hosts {
		if h.connected() && h.name != "" {
			out.Servers = append(out.Servers, drivers.ServerLoad{
				Name: h.name, CPUMHz: h.usedMHz, CPUTotalMHz: h.cores * h.mhz, MemMiB: h.usedMiB, MemTotalMiB: h.memory >> 20,
			})
		}
	}
	for _, v := range c.vms {
		h := c.hosts[v.host]
		if h != nil && h.connected() && v.power == string(types.VirtualMachinePowerStatePoweredOn) {
			out.VMs = append(out.VMs, drivers.VMLoad{Name: v.name, Server: h.name, CPUMHz: v.mhz, MemMiB: v.usedMiB})
		}
	}
	slices.SortFunc(out.Servers, func(a, b drivers.ServerLoad) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(out.VMs, func(a, b drivers.VMLoad) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
