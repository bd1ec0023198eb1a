package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"

	"yagura/placement"
)

// flavours of VMs: vCPUs, MiB, how frequent.
var flavours = [...]struct{ cpu, mem, weight int64 }{{1, 2048, 18}, {2, 4096, 22}, {2, 8192, 18}, {4, 8192, 12}, {4, 16384, 14}, {8, 16384, 5}, {8, 32768, 7}, {16, 65536, 3}, {4, 32768, 1}}

// machines are the classes of servers: CPUs, MiB, how frequent if mixed.
var machines = [...]struct {
	cpus, mem int64
	weight    int
}{{48, 262144, 60}, {64, 393216, 20}, {32, 131072, 20}}

const (
	ownMem    = 2048   // MiB that a server keeps
	loadUnit  = 10_000 // of the load dimension, one CPU
	overcount = 1.5    // vCPUs for each CPU
)

// spec describes a synthetic cluster.
type spec struct {
	servers, vms int
	seed         uint64
	mixed        bool // three classes of servers
	level        bool // VMs go where memory is least used; else anywhere with room
	apart        bool // a third of the VMs in groups of three kept apart
	load         bool // with a measured dimension
	mild         bool // large VMs are never busy, so that no VM alone is above the mean load
}

func generate(s spec) *placement.Problem {
	rng := rand.New(rand.NewPCG(s.seed, uint64(s.servers)<<20|uint64(s.vms)))
	p := &placement.Problem{Dimensions: []placement.Dimension{{Name: "mem"}, {Name: "cpu"}}, Settings: placement.Settings{Seed: s.seed}}
	if s.load {
		p.Dimensions = append(p.Dimensions, placement.Dimension{Name: "load", Measured: true})
	}
	used := make([][2]int64, s.servers)
	for i := range s.servers {
		m := machines[0]
		if s.mixed {
			if k := rng.IntN(100); k >= 80 {
				m = machines[2]
			} else if k >= 60 {
				m = machines[1]
			}
		}
		srv := placement.Server{Name: fmt.Sprintf("h%05d", i), Datacenter: "g1", State: placement.ServerOn, Startable: true, KeepOn: i == 0, Capacity: 200,
			Limits: []placement.Limit{{Limit: m.mem - ownMem, Own: ownMem, Size: m.mem}, {Limit: int64(float64(m.cpus) * overcount), Size: m.cpus}}}
		if s.load {
			srv.Limits = append(srv.Limits, placement.Limit{Limit: m.cpus * loadUnit, Size: loadUnit})
		}
		p.Servers = append(p.Servers, srv)
	}
	for j := range s.vms {
		f, k := flavours[0], rng.Int64N(100)
		for _, f = range flavours {
			if k -= f.weight; k < 0 {
				break
			}
		}
		fits := func(i int) bool {
			return used[i][0]+f.mem <= p.Servers[i].Limits[0].Limit && used[i][1]+f.cpu <= p.Servers[i].Limits[1].Limit
		}
		at := -1
		for at < 0 {
			if s.level {
				least := math.Inf(1)
				for i := range p.Servers {
					l := p.Servers[i].Limits
					if x := max(float64(used[i][0])/float64(l[0].Limit), float64(used[i][1])/float64(l[1].Limit)); x < least && fits(i) {
						at, least = i, x
					}
				}
			} else if i := rng.IntN(s.servers); fits(i) {
				at = i
			}
			if at < 0 && s.level { // full for this one; a smaller one then
				f = flavours[0]
			}
		}
		used[at][0] += f.mem
		used[at][1] += f.cpu
		m := placement.VM{Name: fmt.Sprintf("vm%06d", j), Power: placement.PowerOn, Server: p.Servers[at].Name, Demand: []int64{f.mem, f.cpu}}
		if s.load {
			x := min(1, math.Pow(rng.Float64(), 4)*0.6+0.02)
			if rng.IntN(20) == 0 {
				x = min(1, x+0.5)
			}
			if s.mild && f.cpu >= 8 {
				x = 0.02 + 0.2*x
			}
			m.Demand = append(m.Demand, int64(x*float64(f.cpu)*loadUnit))
		}
		p.VMs = append(p.VMs, m)
	}
	if s.apart {
		keepApart(p)
	}
	return p
}

// keepApart puts a third of the VMs into groups of three, of VMs that are on
// different servers now.
func keepApart(p *placement.Problem) {
	var group []string
	var hosts []string
	for j := 0; j < len(p.VMs); j += 3 {
		m := &p.VMs[j]
		if strings.Contains(strings.Join(hosts, " "), m.Server) {
			continue
		}
		group, hosts = append(group, m.Name), append(hosts, m.Server)
		if len(group) == 3 {
			p.Rules = append(p.Rules, placement.Rule{Name: fmt.Sprintf("apart%d", len(p.Rules)), Kind: placement.RuleApart, VMs: group})
			group, hosts = nil, nil
		}
	}
}

// writeGaneti writes the cluster for htools: path.data and path.util.
func writeGaneti(p *placement.Problem, path string) error {
	var d, u strings.Builder
	d.WriteString("g1|uuid-g1|preferred||\n\n")
	used := map[string]int64{}
	for i := range p.VMs {
		used[p.VMs[i].Server] += p.VMs[i].Demand[0]
	}
	for i := range p.Servers {
		s := &p.Servers[i]
		mem, cpu := s.Limits[0], s.Limits[1]
		role := "N"
		if s.KeepOn {
			role = "M"
		}
		fmt.Fprintf(&d, "%s|%d|%d|%d|8388608|8388608|%d|%s|uuid-g1|64||N|0|0|1.0\n", s.Name, mem.Size, mem.Own, mem.Limit-used[s.Name], cpu.Size, role)
	}
	d.WriteString("\n")
	for i := range p.VMs {
		m := &p.VMs[i]
		fmt.Fprintf(&d, "%s|%d|0|%d|running|Y|%s||ext||1|-\n", m.Name, m.Demand[0], m.Demand[1], m.Server)
		if len(m.Demand) > 2 {
			fmt.Fprintf(&u, "%s %.4f 0 0 0\n", m.Name, float64(m.Demand[2])/loadUnit)
		}
	}
	policy := fmt.Sprintf("2048,2,20480,1,1,1|128,1,0,0,1,1;131072,64,1048576,16,8,64|ext|%g|64.0", overcount)
	fmt.Fprintf(&d, "\n\n|%s\ng1|%s\n", policy, policy)
	if err := os.WriteFile(path+".data", []byte(d.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(path+".util", []byte(u.String()), 0o600)
}

// writeHail writes a request to allocate one VM of 4 vCPUs and 8 GiB.
func writeHail(p *placement.Problem, path string) error {
	type m = map[string]any
	std := m{"memory-size": 2048, "cpu-count": 2, "disk-size": 20480, "disk-count": 1, "nic-count": 1, "spindle-use": 1}
	policy := m{"std": std, "minmax": []m{{
		"min": m{"memory-size": 128, "cpu-count": 1, "disk-size": 0, "disk-count": 0, "nic-count": 0, "spindle-use": 1},
		"max": m{"memory-size": 131072, "cpu-count": 64, "disk-size": 1048576, "disk-count": 16, "nic-count": 8, "spindle-use": 64}}},
		"disk-templates": []string{"ext"}, "vcpu-ratio": overcount, "spindle-ratio": 64.0}
	used := map[string]int64{}
	instances := m{}
	for i := range p.VMs {
		v := &p.VMs[i]
		used[v.Server] += v.Demand[0]
		instances[v.Name] = m{"memory": v.Demand[0], "vcpus": v.Demand[1], "disk_space_total": 20480, "disks": []m{{"size": 20480, "mode": "rw"}}, "nics": []m{}, "tags": []string{},
			"os": "x", "admin_state": "up", "should_run": true, "spindle_use": 1, "nodes": []string{v.Server}, "disk_template": "ext", "hypervisor": "kvm"}
	}
	nodes := m{}
	for i := range p.Servers {
		s := &p.Servers[i]
		mem := s.Limits[0]
		nodes[s.Name] = m{"total_memory": mem.Size, "reserved_memory": mem.Own, "free_memory": mem.Limit - used[s.Name], "total_disk": 8388608, "free_disk": 8388608, "free_spindles": 64,
			"total_cpus": s.Limits[1].Size, "reserved_cpus": 0, "group": "uuid-g1", "offline": false, "drained": false, "master_candidate": true, "master_capable": true, "vm_capable": true,
			"tags": []string{}, "i_pri_memory": used[s.Name], "i_pri_up_memory": used[s.Name], "primary_ip": "10.0.0.1", "secondary_ip": "10.0.0.1", "cpu_speed": 1.0,
			"ndparams": m{"spindle_count": 64, "oob_program": nil, "exclusive_storage": false, "cpu_speed": 1.0}}
	}
	doc := m{"version": 2, "cluster_name": "c", "cluster_tags": []string{}, "enabled_hypervisors": []string{"kvm"}, "ipolicy": policy,
		"nodegroups": m{"uuid-g1": m{"name": "g1", "alloc_policy": "preferred", "networks": []string{}, "ipolicy": policy, "tags": []string{}}}, "nodes": nodes, "instances": instances,
		"request": m{"type": "allocate", "name": "newvm", "memory": 8192, "vcpus": 4, "disks": []m{{"size": 20480, "mode": "rw"}}, "disk_space_total": 20480, "disk_template": "ext", "nics": []m{},
			"tags": []string{}, "os": "x", "hypervisor": "kvm", "spindle_use": 1, "required_nodes": 1}}
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}
