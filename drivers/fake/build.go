package fake

import (
	"fmt"

	"yagura/drivers"
)

// Server describes a VM server for AddServer.
type Server struct {
	Name        string
	Datacenter  string   // default DC1
	Datastores  []string // made with AddDatastore before
	Networks    []string // default "VM Network"
	CPUs        int      // default 8
	MemoryMiB   int64    // default 32768
	Maintenance bool
}

// AddDatastore makes a datastore of a size in bytes, half of it free.
func (w *World) AddDatastore(name string, capacity int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.datastores[name] = &datastore{name: name, capacity: capacity, free: capacity / 2}
}

// AddServer makes a running VM server with a BMC. It panics on an unknown
// datastore: that is a mistake in the test.
func (w *World) AddServer(s Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Datacenter == "" {
		s.Datacenter = "DC1"
	}
	if len(s.Networks) == 0 {
		s.Networks = []string{"VM Network"}
	}
	for _, d := range s.Datastores {
		if w.datastores[d] == nil {
			panic("fake: no datastore " + d)
		}
	}
	h := newHost(s.Name, Physical{Power: drivers.PowerOn, CPUs: s.CPUs, MemoryMiB: s.MemoryMiB}, w)
	h.hypervisor, h.datacenter, h.maintenance, h.datastores, h.networks = true, s.Datacenter, s.Maintenance, s.Datastores, s.Networks
	w.hosts[s.Name] = h
	w.notify()
}

// AddVM makes a VM or template. UUID, Power, CPUs, MemoryMiB and NICs have
// defaults; tools run in its guest when it is on, unless NoTools takes them
// away. It panics on an unknown server or datastore: that is a mistake in the test.
func (w *World) AddVM(v drivers.VM) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hosts[v.Server] == nil || !w.hosts[v.Server].hypervisor {
		panic("fake: no VM server " + v.Server)
	}
	for _, d := range v.Datastores {
		if w.datastores[d] == nil {
			panic("fake: no datastore " + d)
		}
	}
	if v.UUID == "" {
		v.UUID = UUIDOf(v.Name)
	}
	if v.Power == "" {
		v.Power = drivers.PowerOff
	}
	if v.CPUs == 0 {
		v.CPUs = 1
	}
	if v.MemoryMiB == 0 {
		v.MemoryMiB = 1024
	}
	if len(v.Networks) == 0 {
		v.Networks = []string{"VM Network"}
	}
	if len(v.NICs) == 0 {
		id := UUIDOf(v.Name)
		v.NICs = []drivers.NIC{{MAC: "00:50:56:" + id[0:2] + ":" + id[2:4] + ":" + id[4:6], Network: v.Networks[0]}}
	}
	if v.Hostname == "" {
		v.Hostname = v.Name
	}
	v.ToolsRunning = true
	m := &vm{v: v}
	if v.Power == drivers.PowerOn {
		m.running = true
		m.v.BootTime = w.now()
	}
	w.vms[v.UUID] = m
	w.notify()
}

// Demo is the demo world: VM servers esx01..esx04 of datacenter DC1 on the
// shared datastore shared01, each with a local datastore local01..local04;
// template tmpl-web on esx01; VMs web01..web12, three a server, on; spare01 on
// esx04, off; machines db01, db02 (running as ph01, ph02) and ph03, ph04 are
// physical: ph01 and ph02 on, ph03 and ph04 off.
func Demo(o Options) *World {
	w := New(o)
	w.AddDatastore("shared01", 4<<40)
	for i := 1; i <= 4; i++ {
		local := fmt.Sprintf("local%02d", i)
		w.AddDatastore(local, 1<<40)
		w.AddServer(Server{Name: fmt.Sprintf("esx%02d", i), Datastores: []string{"shared01", local}})
	}
	w.AddVM(drivers.VM{Name: "tmpl-web", Server: "esx01", Template: true, Datastores: []string{"shared01"}})
	for i := 0; i < 12; i++ {
		w.AddVM(drivers.VM{
			Name: fmt.Sprintf("web%02d", i+1), Server: fmt.Sprintf("esx%02d", i/3+1), Power: drivers.PowerOn,
			Datastores: []string{"shared01"}, IPs: []string{fmt.Sprintf("192.0.2.%d", i+11)}, CPUMHz: 200,
		})
	}
	w.AddVM(drivers.VM{Name: "spare01", Server: "esx04", Datastores: []string{"shared01"}})
	for i, p := range []drivers.PowerState{drivers.PowerOn, drivers.PowerOn, drivers.PowerOff, drivers.PowerOff} {
		w.AddPhysical(fmt.Sprintf("ph%02d", i+1), Physical{Power: p})
	}
	return w
}
