package formats

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"yagura/placement"
)

// loadUnit is how many units of the load dimension one CPU is.
const loadUnit = 10_000

// ReadCSV reads a cluster from two tables with a head line each. Hosts: host,
// and if known cluster (a datacenter) and rack; columns that begin with cpu or
// vcpu add up to the cpu dimension, those with mem to mem. VMs: vm, host and the
// same; cpu_load is measured load.
func ReadCSV(hosts, vms io.Reader) (*placement.Problem, error) {
	h, err := readTable(hosts, "host")
	if err != nil {
		return nil, fmt.Errorf("hosts: %w", err)
	}
	v, err := readTable(vms, "vm", "host")
	if err != nil {
		return nil, fmt.Errorf("vms: %w", err)
	}
	p := &placement.Problem{Dimensions: []placement.Dimension{{Name: "cpu"}, {Name: "mem"}}}
	_, loads := v.column["cpu_load"]
	if loads {
		p.Dimensions = append(p.Dimensions, placement.Dimension{Name: "load", Measured: true})
	}
	for i, row := range h.rows {
		cpu, mem, _, err := h.sums(row)
		if err != nil {
			return nil, fmt.Errorf("hosts: line %d: %w", i+2, err)
		}
		s := placement.Server{Name: h.get(row, "host"), Datacenter: h.get(row, "cluster"), Rack: h.get(row, "rack"), State: placement.ServerOn, Startable: true,
			Capacity: 200, Limits: []placement.Limit{{Limit: cpu}, {Limit: mem}}}
		if loads {
			s.Limits = append(s.Limits, placement.Limit{Limit: cpu * loadUnit})
		}
		p.Servers = append(p.Servers, s)
	}
	for i, row := range v.rows {
		cpu, mem, load, err := v.sums(row)
		if err != nil {
			return nil, fmt.Errorf("vms: line %d: %w", i+2, err)
		}
		m := placement.VM{Name: v.get(row, "vm"), Server: v.get(row, "host"), Power: placement.PowerOn, Demand: []int64{cpu, mem}}
		if loads {
			m.Demand = append(m.Demand, load)
		}
		p.VMs = append(p.VMs, m)
	}
	return p, p.Validate()
}

type table struct {
	head   []string
	column map[string]int
	rows   [][]string
}

func readTable(r io.Reader, need ...string) (*table, error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("there is no head line")
	}
	t := &table{head: rows[0], column: map[string]int{}, rows: rows[1:]}
	for i, name := range t.head {
		t.column[name] = i
	}
	for _, name := range need {
		if _, ok := t.column[name]; !ok {
			return nil, fmt.Errorf("there is no column %q", name)
		}
	}
	return t, nil
}

func (t *table) get(row []string, name string) string {
	if i, ok := t.column[name]; ok {
		return row[i]
	}
	return ""
}

// sums adds up a row's CPU and memory columns; load is in units of loadUnit.
func (t *table) sums(row []string) (cpu, mem, load int64, err error) {
	for i, name := range t.head {
		to := &mem
		switch {
		case name == "cpu_load":
			to = &load
		case strings.HasPrefix(name, "cpu"), strings.HasPrefix(name, "vcpu"):
			to = &cpu
		case !strings.HasPrefix(name, "mem"):
			continue
		}
		x, err := strconv.ParseFloat(row[i], 64)
		if err != nil || !(x >= 0 && x < 1e12) {
			return 0, 0, 0, fmt.Errorf("%s %q is not a number from 0", name, row[i])
		}
		if to == &load {
			x = math.Round(x * loadUnit)
		}
		*to += int64(x)
	}
	return cpu, mem, load, nil
}

// ReadReassignment reads the ROADEF 2012 machine reassignment format: a model
// and the present assignment. Machines become servers that run, processes VMs,
// resources dimensions; processes of one service are kept apart, a location is
// a rack. Spread, dependencies, balance and weights are left out: they have no
// counterpart here.
func ReadReassignment(model, assignment io.Reader) (*placement.Problem, error) {
	n := numbers{in: bufio.NewReader(model)}
	p := &placement.Problem{}
	resources := n.count("resources")
	for r := range resources {
		p.Dimensions = append(p.Dimensions, placement.Dimension{Name: fmt.Sprintf("r%d", r)})
		n.next() // transient
		n.next() // weight
	}
	machines := n.count("machines")
	for m := range machines {
		n.next() // neighbourhood
		s := placement.Server{Name: fmt.Sprintf("machine%d", m), State: placement.ServerOn, Startable: true, Capacity: 1, Rack: fmt.Sprintf("location%d", n.next())}
		for range resources {
			s.Limits = append(s.Limits, placement.Limit{Limit: n.next()})
		}
		n.skip(resources + machines) // safety capacities, move costs
		p.Servers = append(p.Servers, s)
	}
	services := n.count("services")
	for range services {
		n.next() // spread
		n.skip(n.count("dependencies"))
	}
	members := make([][]string, services)
	for k := range n.count("processes") {
		service := n.next()
		v := placement.VM{Name: fmt.Sprintf("process%d", k), Power: placement.PowerOn}
		for range resources {
			v.Demand = append(v.Demand, n.next())
		}
		v.MoveCost = n.next()
		if n.err == nil && (service < 0 || service >= int64(services)) {
			n.err = fmt.Errorf("process %d is of service %d of %d", k, service, services)
		}
		if n.err != nil {
			return nil, n.err
		}
		members[service] = append(members[service], v.Name)
		p.VMs = append(p.VMs, v)
	}
	for k, list := range members {
		if len(list) > 1 {
			p.Rules = append(p.Rules, placement.Rule{Name: fmt.Sprintf("service%d", k), Kind: placement.RuleApart, VMs: list})
		}
	}
	a := numbers{in: bufio.NewReader(assignment)}
	for k := range p.VMs {
		m := a.next()
		if a.err == nil && (m < 0 || m >= int64(machines)) {
			a.err = fmt.Errorf("process %d is on machine %d of %d", k, m, machines)
		}
		if a.err != nil {
			return nil, a.err
		}
		p.VMs[k].Server = p.Servers[m].Name
	}
	if n.err != nil {
		return nil, n.err
	}
	return p, p.Validate()
}

// numbers reads whole numbers and keeps the first error.
type numbers struct {
	in  *bufio.Reader
	at  int
	err error
}

func (n *numbers) next() int64 {
	var x int64
	if n.err == nil {
		n.at++
		if _, err := fmt.Fscan(n.in, &x); err != nil {
			n.err = fmt.Errorf("number %d is missing or not whole", n.at)
		}
	}
	return x
}

func (n *numbers) count(what string) int {
	x := n.next()
	if n.err == nil && (x < 0 || x > mostItems) {
		n.err = fmt.Errorf("%d is no number of %s", x, what)
	}
	if n.err != nil {
		return 0
	}
	return int(x)
}

func (n *numbers) skip(k int) {
	for range k {
		n.next()
	}
}
