package placement

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// loadUnit is how many units of the load dimension are one of Ganeti's.
const loadUnit = 10_000

// ParseGaneti reads a cluster from Ganeti's htools text format (the file of
// hbal -t) and, if util is not nil, dynamic use (the file of hbal -U).
//
// Dimensions are mem (MiB) and cpu (virtual CPUs, limited by the group's
// vcpu-ratio), and with util load (ten thousandths). A node group is a
// datacenter, the master node is kept on, an offline node is failed. A drbd
// instance is pinned to its two nodes, a plain or file one has a local disk.
// Instances with equal exclusion tags (htools:iextags) are kept apart.
func ParseGaneti(data, util io.Reader) (*Problem, error) {
	g := ganeti{p: &Problem{Dimensions: []Dimension{{Name: "mem"}, {Name: "cpu"}}}, ratio: map[string]float64{}, group: map[string]string{}, vm: map[string]int{}, tagged: map[string][]string{}}
	if util != nil {
		g.p.Dimensions = append(g.p.Dimensions, Dimension{Name: "load", Measured: true})
	}
	sections, err := readSections(data)
	if err != nil {
		return nil, err
	}
	for len(sections) < 5 {
		sections = append(sections, nil)
	}
	// Policies and cluster tags come last in the file but govern the rest.
	for _, step := range []struct {
		section int
		read    func([]string) *Error
	}{{0, g.groupLine}, {4, g.policy}, {3, g.tagLine}, {1, g.node}, {2, g.instance}} {
		for _, l := range sections[step.section] {
			if err := step.read(l.fields); err != nil {
				err.Line = l.number
				return nil, err
			}
		}
	}
	g.exclusions()
	if util != nil {
		if err := g.utilization(util); err != nil {
			return nil, err
		}
	}
	if err := g.p.Validate(); err != nil {
		return nil, err
	}
	return g.p, nil
}

type ganeti struct {
	p      *Problem
	group  map[string]string  // uuid -> name
	ratio  map[string]float64 // group name, or empty for the cluster -> vcpu-ratio
	excl   []string           // prefixes of exclusion tags
	vm     map[string]int
	tags   []string // exclusion tags in the order of the file
	tagged map[string][]string
}

type numberedLine struct {
	number int
	fields []string
}

// readSections cuts the file at its empty lines.
func readSections(r io.Reader) ([][]numberedLine, error) {
	sections := [][]numberedLine{nil}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		if line := strings.TrimRight(sc.Text(), "\r"); line == "" {
			sections = append(sections, nil)
		} else {
			last := &sections[len(sections)-1]
			*last = append(*last, numberedLine{n, strings.Split(line, "|")})
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return nil, invalid("", "a line is longer than %d bytes", maxLine)
	}
	return sections, sc.Err()
}

// quantities reads whole numbers from the fields at the given places.
func quantities(object string, f []string, at ...int) ([]int64, *Error) {
	out := make([]int64, len(at))
	for k, i := range at {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil || n < 0 || n > MaxQuantity {
			return nil, invalid(object, "field %d %q is not a whole number from 0 to %d", i+1, f[i], MaxQuantity)
		}
		out[k] = n
	}
	return out, nil
}

func (g *ganeti) groupLine(f []string) *Error {
	if len(f) < 2 {
		return invalid("group", "has %d fields, needs at least 2", len(f))
	}
	g.group[f[1]] = f[0]
	return nil
}

func (g *ganeti) policy(f []string) *Error {
	if len(f) < 5 {
		return invalid("policy", "has %d fields, needs at least 5", len(f))
	}
	r, err := strconv.ParseFloat(f[4], 64)
	if err != nil || !(r > 0 && r <= 1e6) {
		return invalid("policy", "vcpu ratio %q is not a number above 0", f[4])
	}
	g.ratio[f[0]] = r
	return nil
}

func (g *ganeti) tagLine(f []string) *Error {
	for _, tag := range strings.Split(strings.Join(f, "|"), ",") {
		if rest, ok := strings.CutPrefix(tag, "htools:iextags:"); ok {
			g.excl = append(g.excl, rest+":")
		}
	}
	return nil
}

func (g *ganeti) node(f []string) *Error {
	object := "node " + strconv.Quote(f[0])
	if len(f) < 9 {
		return invalid(object, "has %d fields, needs at least 9", len(f))
	}
	n, err := quantities(object, f, 1, 2, 6)
	if err != nil {
		return err
	}
	total, own, cpus := n[0], n[1], n[2]
	name, ok := g.group[f[8]]
	if !ok {
		return invalid(object, "group %q is unknown", f[8])
	}
	ratio, ok := g.ratio[name]
	if !ok {
		if ratio, ok = g.ratio[""]; !ok {
			ratio = 64
		}
	}
	if own >= total || cpus == 0 {
		return invalid(object, "has no memory or CPU for instances")
	}
	s := Server{Name: f[0], Datacenter: name, State: ServerOn, Startable: true, KeepOn: f[7] == "M", Capacity: 200,
		Limits: []Limit{{Limit: total - own, Own: own, Size: total}, {Limit: int64(math.Floor(float64(cpus)*ratio + 1e-9)), Size: cpus}}}
	if f[7] == "Y" {
		s.State = ServerFailed
	}
	if len(g.p.Dimensions) == 3 {
		s.Limits = append(s.Limits, Limit{Limit: cpus * loadUnit, Size: loadUnit})
	}
	g.p.Servers = append(g.p.Servers, s)
	return nil
}

func (g *ganeti) instance(f []string) *Error {
	object := "instance " + strconv.Quote(f[0])
	if len(f) < 9 {
		return invalid(object, "has %d fields, needs at least 9", len(f))
	}
	n, err := quantities(object, f, 1, 3)
	if err != nil {
		return err
	}
	m := VM{Name: f[0], Power: PowerOff, Server: f[6], Demand: make([]int64, len(g.p.Dimensions)), LocalDisk: f[8] == "plain" || f[8] == "file"}
	m.Demand[0], m.Demand[1] = n[0], n[1]
	if strings.EqualFold(f[4], "running") {
		m.Power = PowerOn
	}
	if f[7] != "" {
		g.p.Rules = append(g.p.Rules, Rule{Name: "nodes of " + f[0], Kind: RulePin, VMs: []string{f[0]}, Servers: []string{f[6], f[7]}})
	}
	if len(f) > 9 {
		for _, tag := range strings.Split(f[9], ",") {
			for _, prefix := range g.excl {
				if strings.HasPrefix(tag, prefix) {
					if g.tagged[tag] == nil {
						g.tags = append(g.tags, tag)
					}
					g.tagged[tag] = append(g.tagged[tag], f[0])
				}
			}
		}
	}
	g.vm[f[0]] = len(g.p.VMs)
	g.p.VMs = append(g.p.VMs, m)
	return nil
}

func (g *ganeti) exclusions() {
	for _, tag := range g.tags {
		if vms := g.tagged[tag]; len(vms) > 1 {
			g.p.Rules = append(g.p.Rules, Rule{Name: "exclusion " + tag, Kind: RuleApart, VMs: vms})
		}
	}
}

// utilization reads lines "instance cpu mem disk net"; only cpu counts.
func (g *ganeti) utilization(r io.Reader) error {
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		f := strings.Fields(sc.Text())
		if len(f) == 0 {
			continue
		}
		if len(f) < 2 {
			return &Error{Kind: KindInvalid, Line: n, Msg: "needs an instance and its use"}
		}
		i, ok := g.vm[f[0]]
		load, err := strconv.ParseFloat(f[1], 64)
		if !ok || err != nil || !(load >= 0 && load <= 1e6) {
			return &Error{Kind: KindInvalid, Line: n, Object: fmt.Sprintf("instance %q", f[0]), Msg: fmt.Sprintf("is unknown, or its use %q is not a number from 0 to 1000000", f[1])}
		}
		g.p.VMs[i].Demand[2] = int64(math.Round(load * loadUnit))
	}
	return sc.Err()
}
