package vcenter

import (
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// hostPaths are the properties that make a drivers.VMServer.
var hostPaths = []string{
	"name", "parent", "summary.hardware.uuid", "summary.hardware.model", "summary.hardware.numCpuCores",
	"summary.hardware.cpuMhz", "summary.hardware.memorySize", "runtime.connectionState", "runtime.powerState",
	"runtime.inMaintenanceMode", "runtime.bootTime", "config.network.pnic", "datastore", "network",
}

// hostLoadPaths change every few seconds; a follower leaves them out.
var hostLoadPaths = []string{"summary.quickStats.overallCpuUsage", "summary.quickStats.overallMemoryUsage"}

var storePaths = []string{"name", "host", "summary.multipleHostAccess", "summary.freeSpace", "summary.capacity"}

type hostRecord struct {
	name, uuid, model string
	parent            ref
	cores, mhz        int64
	memory            int64 // bytes
	usedMHz, usedMiB  int64
	connection, power string
	maintenance       bool
	boot              time.Time
	nics              []drivers.NIC
	datastores        []ref
	networks          []ref
}

func (h *hostRecord) set(path string, val any) {
	switch path {
	case "name":
		h.name = text(val)
	case "parent":
		h.parent = reference(val)
	case "summary.hardware.uuid":
		h.uuid = text(val)
	case "summary.hardware.model":
		h.model = text(val)
	case "summary.hardware.numCpuCores":
		h.cores = number(val)
	case "summary.hardware.cpuMhz":
		h.mhz = number(val)
	case "summary.hardware.memorySize":
		h.memory = number(val)
	case "summary.quickStats.overallCpuUsage":
		h.usedMHz = number(val)
	case "summary.quickStats.overallMemoryUsage":
		h.usedMiB = number(val)
	case "runtime.connectionState":
		h.connection = text(val)
	case "runtime.powerState":
		h.power = text(val)
	case "runtime.inMaintenanceMode":
		h.maintenance = flag(val)
	case "runtime.bootTime":
		h.boot = moment(val)
	case "config.network.pnic":
		h.nics = nil
		a, _ := val.(types.ArrayOfPhysicalNic)
		for _, n := range a.PhysicalNic {
			h.nics = append(h.nics, drivers.NIC{MAC: strings.ToLower(n.Mac)})
		}
	case "datastore":
		h.datastores = references(val)
	case "network":
		h.networks = references(val)
	}
}

func (h *hostRecord) connected() bool {
	return h.connection == string(types.HostSystemConnectionStateConnected)
}

// server puts a VM server together.
func (c *catalog) server(r ref) drivers.VMServer {
	h := c.hosts[r]
	out := drivers.VMServer{
		UUID: h.uuid, Name: h.name, Connected: h.connected(), Maintenance: h.maintenance, Power: hostPower(h),
		Datacenter: c.datacenter(h.parent), Networks: c.names(h.networks), NICs: h.nics,
		CPUs: int(h.cores), CPUTotalMHz: h.cores * h.mhz, CPUUsedMHz: h.usedMHz,
		MemoryMiB: h.memory >> 20, MemUsedMiB: h.usedMiB, Model: h.model, BootTime: h.boot,
	}
	for _, d := range h.datastores {
		if s := c.stores[d]; s != nil {
			out.Datastores = append(out.Datastores, drivers.Datastore{Name: s.name, Shared: s.shared(), Free: s.free, Capacity: s.capacity})
		}
	}
	return out
}

// hostPower reads a VM server's power. Standby is certain; poweredOff is not
// (vSphere API reference, HostSystemPowerState: the command was sent, the
// server may hang on its way), nor is anything about a server that doesn't answer.
func hostPower(h *hostRecord) drivers.PowerState {
	switch types.HostSystemPowerState(h.power) {
	case types.HostSystemPowerStateStandBy:
		return drivers.PowerOff
	case types.HostSystemPowerStatePoweredOn:
		if h.connected() {
			return drivers.PowerOn
		}
	}
	return drivers.PowerUnknown
}
