package fake

import (
	"crypto/sha256"
	"fmt"
	"sort"
	"sync"
	"time"

	"yagura/drivers"
)

// The names under which the parts of the world appear in errors and in the ledger.
const (
	DefaultSystem = "vc1" // the hypervisor manager, unless Options.System names it
	BMCSystem     = "bmc" // all management controllers together
)

// Options shape a world. The zero value gives real time and DefaultSystem.
type Options struct {
	System string           // name of the hypervisor manager
	Clock  func() time.Time // what the world takes for now; nil: time.Now
}

// World is a simulated datacenter. Its methods may be called from any goroutine.
type World struct {
	system string
	clock  func() time.Time

	mu           sync.Mutex // guards all fields below and everything they point to
	offset       time.Duration
	hosts        map[string]*host
	vms          map[string]*vm // by UUID
	datastores   map[string]*datastore
	switches     map[string]*netSwitch
	balancers    map[string]balancer     // by system
	arrays       map[string]array        // by system
	distributors map[string]*distributor // by system
	tasks        map[string]*task
	pending      []*task // running tasks, oldest first
	nextTask     int
	nextVM       int
	ledger       []Effect
	violations   []string
	faults       []*Fault
	delays       map[string]time.Duration
	down         map[string]bool // systems that don't answer
	hook         Hook
	changed      chan struct{} // closed and replaced at each change
	events       []drivers.Event
	lastEvent    int64 // key of the newest event
}

// host is a physical machine: a VM server when hypervisor is set.
type host struct {
	name, uuid  string
	datacenter  string
	hypervisor  bool
	power       drivers.PowerState // what is true, not what a manager believes
	crashed     bool               // powered, but nothing runs on it
	isolated    bool               // runs, but its manager can't reach it
	lost        bool               // the manager has told in its events that it can't reach it
	standby     bool               // off by the manager's wish; the manager can wake it
	stopped     bool               // off by the manager's wish; only its BMC can start it
	maintenance bool
	bmcDead     bool
	noOS        bool // a graceful shutdown or reboot is accepted and ignored
	datastores  []string
	networks    []string
	cpus        int
	memoryMiB   int64
	boot        time.Time

	nics                        []drivers.NIC
	initiators                  []string
	manufacturer, model, serial string
	health                      string
}

func (h *host) connected() bool {
	return h.hypervisor && h.power == drivers.PowerOn && !h.crashed && !h.isolated
}

// vm is a VM or template. v.Power is what the manager believes (the last known
// state while the VM server doesn't answer), running is what is true.
type vm struct {
	v       drivers.VM
	running bool
	stray   string // isolated VM server on which it still runs after a failover
}

type datastore struct {
	name           string
	capacity, free int64
}

// New returns an empty world.
func New(o Options) *World {
	if o.System == "" {
		o.System = DefaultSystem
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &World{
		system: o.System, clock: o.Clock,
		hosts: map[string]*host{}, vms: map[string]*vm{}, datastores: map[string]*datastore{},
		balancers: map[string]balancer{}, arrays: map[string]array{},
		switches: map[string]*netSwitch{},
		tasks:    map[string]*task{}, delays: map[string]time.Duration{}, down: map[string]bool{},
		changed: make(chan struct{}),
	}
}

// System is the name of the hypervisor manager.
func (w *World) System() string { return w.system }

// Now is the world's time.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now()
}

func (w *World) now() time.Time { return w.clock().Add(w.offset) }

// Advance moves the world's time forward and ends what has become due.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset += d
	w.settle()
	w.notify()
}

// notify wakes the followers. The caller holds mu.
func (w *World) notify() {
	w.postConnections()
	close(w.changed)
	w.changed = make(chan struct{})
}

// UUIDOf is the UUID that AddVM and AddServer give to a name.
func UUIDOf(name string) string {
	s := sha256.Sum256([]byte(name))
	s[6] = s[6]&0x0f | 0x50
	s[8] = s[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[0:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// vmByName returns the VM or template with this name. The caller holds mu.
func (w *World) vmByName(name string) *vm {
	for _, m := range w.vms {
		if m.v.Name == name {
			return m
		}
	}
	return nil
}

// view is the VM as the manager shows it. The caller holds mu.
func (w *World) view(m *vm) drivers.VM {
	v := m.v
	h := w.hosts[v.Server]
	v.Connected = h.connected()
	v.Datacenter = h.datacenter
	v.ToolsRunning = v.ToolsRunning && m.running
	if len(v.Datastores) > 0 {
		v.ConfigPath = fmt.Sprintf("[%s] %s/%s.vmx", v.Datastores[0], v.Name, v.Name)
	}
	v.Datastores = append([]string(nil), v.Datastores...)
	v.Networks = append([]string(nil), v.Networks...)
	v.NICs = append([]drivers.NIC(nil), v.NICs...)
	v.IPs = append([]string(nil), v.IPs...)
	return v
}

// viewServer is the VM server as the manager shows it. The caller holds mu.
func (w *World) viewServer(h *host) drivers.VMServer {
	s := drivers.VMServer{
		UUID: h.uuid, Name: h.name, Connected: h.connected(), Maintenance: h.maintenance,
		Datacenter: h.datacenter, Networks: append([]string(nil), h.networks...),
		CPUs: h.cpus, CPUTotalMHz: int64(h.cpus) * 2000, MemoryMiB: h.memoryMiB, Model: "fake",
		BootTime: h.boot,
	}
	switch {
	case s.Connected:
		s.Power = drivers.PowerOn
	case h.standby:
		s.Power = drivers.PowerOff
	default:
		s.Power = drivers.PowerUnknown
	}
	for _, name := range h.datastores {
		d := w.datastores[name]
		s.Datastores = append(s.Datastores, drivers.Datastore{
			Name: name, Shared: w.mounts(name) > 1, Free: d.free, Capacity: d.capacity,
		})
	}
	for _, m := range w.vms {
		if m.v.Server == h.name && m.v.Power == drivers.PowerOn {
			s.CPUUsedMHz += m.v.CPUMHz
			s.MemUsedMiB += m.v.MemoryMiB
		}
	}
	return s
}

// mounts counts the VM servers that mount a datastore. The caller holds mu.
func (w *World) mounts(name string) int {
	n := 0
	for _, h := range w.hosts {
		if contains(h.datastores, name) {
			n++
		}
	}
	return n
}

// inventory is everything the manager shows, by name. The caller holds mu.
func (w *World) inventory() *drivers.Inventory {
	inv := &drivers.Inventory{Time: w.now()}
	for _, h := range w.hosts {
		if h.hypervisor {
			inv.Servers = append(inv.Servers, w.viewServer(h))
		}
	}
	for _, m := range w.vms {
		inv.VMs = append(inv.VMs, w.view(m))
	}
	sort.Slice(inv.Servers, func(i, j int) bool { return inv.Servers[i].Name < inv.Servers[j].Name })
	sort.Slice(inv.VMs, func(i, j int) bool { return inv.VMs[i].Name < inv.VMs[j].Name })
	return inv
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
