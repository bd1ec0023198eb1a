package vcenter

import (
	"net"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// vmPaths are the properties that make a drivers.VM.
var vmPaths = []string{
	"name", "config.instanceUuid", "config.template", "config.hardware.numCPU", "config.hardware.memoryMB",
	"config.hardware.device", "config.files.vmPathName", "runtime.host", "runtime.powerState",
	"runtime.connectionState", "summary.runtime.bootTime", "guest.toolsRunningStatus", "guest.hostName",
	"guest.net", "datastore", "network",
}

// vmLoadPaths change every few seconds; a follower leaves them out.
var vmLoadPaths = []string{"summary.quickStats.overallCpuUsage", "summary.quickStats.hostMemoryUsage"}

// vmDetailPaths are large or needed for work on one VM only.
var vmDetailPaths = []string{"config.extraConfig", "config.guestId", "parent", "resourcePool"}

// tokenKey is the configuration entry (VirtualMachineConfigInfo.extraConfig)
// that holds the token of the call that cloned a VM.
const tokenKey = "yagura.token"

type vmRecord struct {
	name, uuid, guestID string
	path                string // of its configuration file, "[datastore] folder/file.vmx"
	template            bool
	cpus, memoryMiB     int64
	mhz, usedMiB        int64
	cards               []card
	host, folder, pool  ref
	power, connection   string
	boot                time.Time
	tools               string
	hostname            string
	ips                 []string
	datastores          []ref
	networks            []ref
	token               string
}

// card is a virtual network card.
type card struct {
	device  types.BaseVirtualEthernetCard
	mac     string
	network string // name, if the card says it
	group   string // key of a distributed port group otherwise
}

func (v *vmRecord) set(path string, val any) {
	switch path {
	case "name":
		v.name = text(val)
	case "config.instanceUuid":
		v.uuid = text(val)
	case "config.template":
		v.template = flag(val)
	case "config.hardware.numCPU":
		v.cpus = number(val)
	case "config.hardware.memoryMB":
		v.memoryMiB = number(val)
	case "config.hardware.device":
		a, _ := val.(types.ArrayOfVirtualDevice)
		v.cards = cards(a.VirtualDevice)
	case "config.files.vmPathName":
		v.path = text(val)
	case "config.guestId":
		v.guestID = text(val)
	case "config.extraConfig":
		v.token = ""
		a, _ := val.(types.ArrayOfOptionValue)
		for _, o := range a.OptionValue {
			if x := o.GetOptionValue(); x.Key == tokenKey {
				v.token = text(x.Value)
			}
		}
	case "runtime.host":
		v.host = reference(val)
	case "runtime.powerState":
		v.power = text(val)
	case "runtime.connectionState":
		v.connection = text(val)
	case "summary.runtime.bootTime":
		v.boot = moment(val)
	case "summary.quickStats.overallCpuUsage":
		v.mhz = number(val)
	case "summary.quickStats.hostMemoryUsage":
		v.usedMiB = number(val)
	case "guest.toolsRunningStatus":
		v.tools = text(val)
	case "guest.hostName":
		v.hostname = text(val)
	case "guest.net":
		a, _ := val.(types.ArrayOfGuestNicInfo)
		v.ips = addresses(a.GuestNicInfo)
	case "datastore":
		v.datastores = references(val)
	case "network":
		v.networks = references(val)
	case "parent":
		v.folder = reference(val)
	case "resourcePool":
		v.pool = reference(val)
	}
}

func cards(devices []types.BaseVirtualDevice) []card {
	var out []card
	for _, dev := range devices {
		e, ok := dev.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		v := e.GetVirtualEthernetCard()
		c := card{device: e, mac: strings.ToLower(v.MacAddress)}
		switch b := v.Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			c.network = b.DeviceName
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			c.group = b.Port.PortgroupKey
		}
		out = append(out, c)
	}
	return out
}

// addresses are the guest's addresses without those that only hold on one link.
func addresses(nics []types.GuestNicInfo) []string {
	var out []string
	for _, n := range nics {
		for _, a := range n.IpAddress {
			if ip := net.ParseIP(a); ip != nil && !ip.IsLinkLocalUnicast() {
				out = append(out, a)
			}
		}
	}
	return out
}

// vm puts a VM together.
func (c *catalog) vm(r ref) drivers.VM {
	v := c.vms[r]
	out := drivers.VM{
		UUID: v.uuid, Name: v.name, Template: v.template, Power: vmPower(v.power),
		ToolsRunning: v.tools == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning),
		Datastores:   c.names(v.datastores), Networks: c.names(v.networks),
		CPUs: int(v.cpus), MemoryMiB: v.memoryMiB, CPUMHz: v.mhz,
		Hostname: v.hostname, IPs: v.ips, Token: v.token, BootTime: v.boot, ConfigPath: v.path,
	}
	if h := c.hosts[v.host]; h != nil {
		out.Server = h.name
		out.Datacenter = c.datacenter(h.parent)
		out.Connected = h.connected() && v.connection == string(types.VirtualMachineConnectionStateConnected)
	}
	for _, n := range v.cards {
		name := n.network
		if g := c.nodes[ref{Type: "DistributedVirtualPortgroup", Value: n.group}]; g != nil {
			// vCenter gives a distributed port group its key as object id.
			name = g.name
		}
		out.NICs = append(out.NICs, drivers.NIC{MAC: n.mac, Network: name})
	}
	return out
}

func vmPower(s string) drivers.PowerState {
	switch types.VirtualMachinePowerState(s) {
	case types.VirtualMachinePowerStatePoweredOn:
		return drivers.PowerOn
	case types.VirtualMachinePowerStatePoweredOff:
		return drivers.PowerOff
	case types.VirtualMachinePowerStateSuspended:
		return drivers.PowerSuspended
	}
	return drivers.PowerUnknown
}
