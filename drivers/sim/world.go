package sim

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// World describes what the simulated datacenter consists of. Names may hold
// one printf number verb (web%02d); Count then says how many there are.
type World struct {
	// VCenter is the name under which the vCenter appears in the ledger.
	VCenter string `yaml:"vcenter"`
	// Datacenter is the name of the one datacenter.
	Datacenter string `yaml:"datacenter"`
	// SharedDatastores are mounted by every VM server.
	SharedDatastores []string `yaml:"shared_datastores"`
	// LocalDatastores gives each VM server a datastore of its own, local-NAME.
	LocalDatastores bool `yaml:"local_datastores"`
	// CapacityGiB is the size of each datastore; 0 means 1024.
	CapacityGiB int64 `yaml:"capacity_gib"`
	// VMServers are the hypervisor hosts; each has a BMC.
	VMServers []MachineSpec `yaml:"vm_servers"`
	// Machines are physical machines without a hypervisor; each has a BMC.
	Machines []MachineSpec `yaml:"machines"`
	// Switches are managed by SNMP.
	Switches []SwitchSpec `yaml:"switches"`
	// Balancers speak the runtime API of HAProxy.
	Balancers []BalancerSpec `yaml:"balancers"`
	// Arrays are managed by a tool, `pvmd sim array`.
	Arrays []ArraySpec `yaml:"arrays"`
	// Services are what hosts offer to the network.
	Services []ServiceSpec `yaml:"services"`
	// VMs are spread over the VM servers in order, one after the other.
	VMs []VMSpec `yaml:"vms"`
}

// MachineSpec describes one or more like physical machines.
type MachineSpec struct {
	Name      string `yaml:"name"`
	Count     int    `yaml:"count"`      // 0 means 1
	CPUs      int    `yaml:"cpus"`       // cores; 0 means 16
	CPUMHz    int    `yaml:"cpu_mhz"`    // per core; 0 means 2400
	MemoryGiB int64  `yaml:"memory_gib"` // 0 means 128
	Off       bool   `yaml:"off"`        // powered off at the start
}

// VMSpec describes one or more like virtual machines.
type VMSpec struct {
	Name      string `yaml:"name"`
	Count     int    `yaml:"count"`      // 0 means 1
	CPUs      int    `yaml:"cpus"`       // 0 means 2
	MemoryMiB int64  `yaml:"memory_mib"` // 0 means 2048
	DiskGiB   int64  `yaml:"disk_gib"`   // 0 means 16
	Datastore string `yaml:"datastore"`  // empty: the first shared one, or the server's own
	Server    string `yaml:"server"`     // empty: spread over all VM servers
	Off       bool   `yaml:"off"`        // powered off at the start
	Template  bool   `yaml:"template"`
}

// DemoWorld is the world of `make demo`: esx01 to esx04 on shared01, three of
// web01 to web12 on each, spare01 switched off and the template tmpl-web on
// esx01, the physical machines ph01 to ph04, of which ph01 and ph02 are on, the
// switch sw1, whose ports p1 to p4 lead to them, with ph01 and ph02 in VLAN
// shop-db, the balancer lb1, whose pool db has db01 and db02, and the array
// array1, where ph01 has db01-data, ph02 db02-data, and both shared-quorum. Who
// has such a volume is that host: it answers at the address of db01 or db02.
func DemoWorld() World {
	return World{
		VCenter:          "vc1",
		Datacenter:       "DC1",
		SharedDatastores: []string{"shared01"},
		LocalDatastores:  true,
		VMServers:        []MachineSpec{{Name: "esx%02d", Count: 4}},
		Machines:         []MachineSpec{{Name: "ph01"}, {Name: "ph02"}, {Name: "ph03", Off: true}, {Name: "ph04", Off: true}},
		Switches: []SwitchSpec{{
			Name: "sw1", Ports: 16, Machines: []string{"ph01", "ph02", "ph03", "ph04"},
			Unused: DemoUnusedVLAN, VLANs: []SwitchVLANSpec{{Name: "shop-db", ID: DemoVLAN, Machines: []string{"ph01", "ph02"}}},
		}},
		Balancers: []BalancerSpec{{Name: "lb1", Pools: []PoolSpec{{Name: "db", Servers: []PoolServerSpec{
			{Name: "db01", Address: "127.0.0.41", Port: 5432}, {Name: "db02", Address: "127.0.0.42", Port: 5432},
		}}}}},
		Arrays: []ArraySpec{{Name: "array1", Volumes: []VolumeSpec{
			{Name: "db01-data", Machines: []string{"ph01"}}, {Name: "db02-data", Machines: []string{"ph02"}},
			{Name: "shared-quorum", Shared: true, Machines: []string{"ph01", "ph02"}},
		}}},
		Services: []ServiceSpec{
			{Name: "db01", Array: "array1", Volume: "db01-data", VLAN: DemoVLAN}, {Name: "db02", Array: "array1", Volume: "db02-data", VLAN: DemoVLAN},
		},
		VMs: []VMSpec{
			{Name: "web%02d", Count: 12},
			{Name: "spare01", Server: "esx01", Off: true},
			{Name: "tmpl-web", Server: "esx01", Template: true},
		},
	}
}

// LargeWorld is a world for benchmarks: hosts VM servers (esx0001 ...) that
// share one datastore, and vms running VMs (vm00001 ...) spread over them.
func LargeWorld(hosts, vms int) World {
	return World{
		VCenter:          "vc1",
		Datacenter:       "DC1",
		SharedDatastores: []string{"shared01"},
		VMServers:        []MachineSpec{{Name: "esx%04d", Count: hosts, CPUs: 64, MemoryGiB: 1024}},
		VMs: []VMSpec{
			{Name: "vm%05d", Count: vms},
			{Name: "tmpl-web", Template: true},
		},
	}
}

// LoadWorld reads a world from a YAML file. Unknown fields are refused.
func LoadWorld(file string) (World, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return World{}, fmt.Errorf("read the world: %w", err)
	}
	w, err := ParseWorld(data)
	if err != nil {
		return World{}, fmt.Errorf("world %s: %w", file, err)
	}
	return w, nil
}

// ParseWorld reads a world from YAML and checks it.
func ParseWorld(data []byte) (World, error) {
	var w World
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&w); err != nil && !errors.Is(err, io.EOF) {
		return World{}, err
	}
	if _, err := w.layout(); err != nil {
		return World{}, err
	}
	return w, nil
}

// layout is a world with every name spelled out and every default filled in.
type layout struct {
	servers  []MachineSpec
	machines []MachineSpec
	switches []SwitchSpec
	vms      []VMSpec // Server and Datastore always set
}

// maxObjects bounds a world; vcsim needs about 46 kB and 4 ms for each VM.
const maxObjects = 50_000

func (w *World) layout() (*layout, error) {
	if w.VCenter == "" {
		w.VCenter = "vc1"
	}
	if w.Datacenter == "" {
		w.Datacenter = "DC1"
	}
	if w.CapacityGiB <= 0 {
		w.CapacityGiB = 1024
	}
	l := &layout{}
	seen := map[string]string{}
	claim := func(kind, name string) error {
		if was := seen[name]; was != "" {
			return fmt.Errorf("%s %q: a %s has that name already", kind, name, was)
		}
		seen[name] = kind
		return nil
	}
	var err error
	if l.servers, err = expandMachines("VM server", w.VMServers, claim); err != nil {
		return nil, err
	}
	if l.machines, err = expandMachines("machine", w.Machines, claim); err != nil {
		return nil, err
	}
	if err = w.checkSwitches(l, claim); err != nil {
		return nil, err
	}
	if err = w.checkBalancers(claim); err != nil {
		return nil, err
	}
	if err = w.checkArrays(l, claim); err != nil {
		return nil, err
	}
	if err = w.checkServices(); err != nil {
		return nil, err
	}
	if len(l.servers) == 0 {
		return nil, errors.New("vm_servers: a world needs at least one")
	}
	stores := map[string]bool{}
	for _, s := range w.SharedDatastores {
		if s == "" || strings.ContainsAny(s, "/[] ") {
			return nil, fmt.Errorf("shared_datastores: %q can't be the name of a datastore", s)
		}
		stores[s] = true
	}
	if len(stores) == 0 && !w.LocalDatastores {
		return nil, errors.New("shared_datastores: none, and local_datastores is off: VMs have no place")
	}
	next := 0
	for _, spec := range w.VMs {
		names, err := expandName("VM", spec.Name, spec.Count)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := claim("VM", name); err != nil {
				return nil, err
			}
			vm := spec
			vm.Name, vm.Count = name, 1
			if vm.Server == "" {
				vm.Server = l.servers[next%len(l.servers)].Name
				next++
			} else if seen[vm.Server] != "VM server" {
				return nil, fmt.Errorf("VM %q: server %q is not a VM server of this world", name, vm.Server)
			}
			switch {
			case vm.Datastore == "" && len(w.SharedDatastores) > 0:
				vm.Datastore = w.SharedDatastores[0]
			case vm.Datastore == "":
				vm.Datastore = localDatastore(vm.Server)
			case !stores[vm.Datastore] && (!w.LocalDatastores || vm.Datastore != localDatastore(vm.Server)):
				return nil, fmt.Errorf("VM %q: server %q doesn't mount datastore %q", name, vm.Server, vm.Datastore)
			}
			vm.CPUs = orDefault(vm.CPUs, 2)
			vm.MemoryMiB = orDefault(vm.MemoryMiB, 2048)
			vm.DiskGiB = orDefault(vm.DiskGiB, 16)
			vm.Off = vm.Off || vm.Template
			l.vms = append(l.vms, vm)
		}
	}
	if len(seen) > maxObjects {
		return nil, fmt.Errorf("the world has %d objects; at most %d are allowed", len(seen), maxObjects)
	}
	return l, nil
}

func expandMachines(kind string, specs []MachineSpec, claim func(kind, name string) error) ([]MachineSpec, error) {
	var out []MachineSpec
	for _, spec := range specs {
		names, err := expandName(kind, spec.Name, spec.Count)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := claim(kind, name); err != nil {
				return nil, err
			}
			m := spec
			m.Name, m.Count = name, 1
			m.CPUs = orDefault(m.CPUs, 16)
			m.CPUMHz = orDefault(m.CPUMHz, 2400)
			m.MemoryGiB = orDefault(m.MemoryGiB, 128)
			out = append(out, m)
		}
	}
	return out, nil
}

func expandName(kind, name string, count int) ([]string, error) {
	count = orDefault(count, 1)
	switch {
	case name == "" || strings.ContainsAny(name, "/\\ \t\n"):
		return nil, fmt.Errorf("%s: %q can't be a name", kind, name)
	case count < 1 || count > maxObjects:
		return nil, fmt.Errorf("%s %q: count %d is out of range (1 to %d)", kind, name, count, maxObjects)
	case !strings.Contains(name, "%"):
		if count != 1 {
			return nil, fmt.Errorf("%s %q: count is %d, so the name needs a number verb such as %%02d", kind, name, count)
		}
		return []string{name}, nil
	}
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf(name, i+1)
		if strings.Contains(names[i], "%!") {
			return nil, fmt.Errorf("%s %q: the name may hold one number verb such as %%02d and no other %%", kind, name)
		}
	}
	return names, nil
}

func orDefault[T int | int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

func localDatastore(server string) string { return "local-" + server }

// nameUUID derives a stable UUID (RFC 9562 version 5 layout) from a kind and a
// name, so that a world has the same identities at every start.
func nameUUID(kind, name string) string {
	h := sha1.Sum([]byte("yagura-sim/" + kind + "/" + name))
	h[6] = h[6]&0x0f | 0x50
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// nameMAC derives a stable, locally administered MAC address from a name.
func nameMAC(kind, name string, n int) string {
	h := sha1.Sum([]byte(fmt.Sprintf("yagura-sim/mac/%s/%s/%d", kind, name, n)))
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", h[0], h[1], h[2], h[3], h[4])
}
