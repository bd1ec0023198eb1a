package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"yagura/placement"
)

// instance is a one-dimensional problem with its proven optimum, 0 if unknown.
type instance struct {
	name     string
	capacity int64
	size     []int64
	count    []int64
	optimum  int64
}

// readTable reads a file with columns parted by tabs into rows below its head.
func readTable(path string) ([][]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n")[1:] {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows, nil
}

// optima reads proven optima, keyed by all columns but the last.
func optima(path string) (map[string]int64, error) {
	rows, err := readTable(path)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, r := range rows {
		n, err := strconv.ParseInt(strings.TrimSpace(r[len(r)-1]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out[strings.Join(r[:len(r)-1], "/")] = n
	}
	return out, nil
}

// readFalkenauer reads a file of OR-Library's bin packing set. Sizes with a
// decimal are taken times ten.
func readFalkenauer(dir, file string) ([]instance, error) {
	best, err := optima(filepath.Join(dir, "optimal.tsv"))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var n int
	if _, err := fmt.Fscan(r, &n); err != nil {
		return nil, err
	}
	out := make([]instance, n)
	for i := range out {
		in := &out[i]
		var capacity float64
		var items, known int64
		if _, err := fmt.Fscan(r, &in.name, &capacity, &items, &known); err != nil {
			return nil, err
		}
		in.capacity, in.optimum = tenfold(capacity), known
		if o, ok := best[in.name]; ok {
			in.optimum = o
		}
		for range items {
			var s float64
			if _, err := fmt.Fscan(r, &s); err != nil {
				return nil, err
			}
			in.size, in.count = append(in.size, tenfold(s)), append(in.count, 1)
		}
	}
	return out, nil
}

func tenfold(x float64) int64 { return int64(x*10 + 0.5) }

// readClassic reads a file of name, number of sizes, capacity, sizes with counts.
func readClassic(dir, set string) ([]instance, error) {
	best, err := optima(filepath.Join(dir, "optimal.tsv"))
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, set+".bpp"))
	if err != nil {
		return nil, err
	}
	var out []instance
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	seen := map[string]bool{}
	for len(lines) > 0 {
		in := instance{name: strings.Trim(strings.TrimSpace(lines[0]), "'")}
		var m int
		if len(lines) < 3 {
			return nil, fmt.Errorf("%s ends within %q", set, in.name)
		}
		if _, err := fmt.Sscan(lines[1]+" "+lines[2], &m, &in.capacity); err != nil || len(lines) < 3+m {
			return nil, fmt.Errorf("%s is cut at %q", set, in.name)
		}
		for _, l := range lines[3 : 3+m] {
			var s, n int64
			if _, err := fmt.Sscan(l, &s, &n); err != nil {
				return nil, err
			}
			in.size, in.count = append(in.size, s), append(in.count, n)
		}
		lines = lines[3+m:]
		if key := set + "/" + in.name; !seen[key] { // of a name that comes twice the optimum isn't known
			seen[key] = true
			in.optimum = best[key]
		}
		out = append(out, in)
	}
	return out, nil
}

// vbp is a vector problem.
type vbp struct {
	capacity []int64
	size     [][]int64
	count    []int64
}

// readVBP reads VPSolver's format. Sizes below 0, of which two files have one,
// are taken as 0: a packing of these fits the original as well.
func readVBP(path string) (*vbp, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var nd, m int
	if _, err := fmt.Fscan(r, &nd); err != nil {
		return nil, err
	}
	v := &vbp{capacity: make([]int64, nd)}
	for d := range v.capacity {
		if _, err := fmt.Fscan(r, &v.capacity[d]); err != nil {
			return nil, err
		}
	}
	if _, err := fmt.Fscan(r, &m); err != nil {
		return nil, err
	}
	for range m {
		w, n := make([]int64, nd), int64(0)
		for d := range w {
			if _, err := fmt.Fscan(r, &w[d]); err != nil {
				return nil, err
			}
			w[d] = max(w[d], 0)
		}
		if _, err := fmt.Fscan(r, &n); err != nil {
			return nil, err
		}
		v.size, v.count = append(v.size, w), append(v.count, n)
	}
	return v, nil
}

// readSnapshot reads the real cluster: CPU and memory summed over NUMA nodes,
// VMs bound to their cluster.
func readSnapshot(dir string) (*placement.Problem, error) {
	p := &placement.Problem{Dimensions: []placement.Dimension{{Name: "cpu"}, {Name: "mem"}}}
	hosts, err := readCSV(filepath.Join(dir, "medium.hosts.csv"))
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		n, err := numbers(h[3:7])
		if err != nil {
			return nil, err
		}
		p.Servers = append(p.Servers, placement.Server{Name: h[0], Datacenter: h[1], Rack: h[2], State: placement.ServerOn, Startable: true,
			Capacity: 200, Limits: []placement.Limit{{Limit: n[0] + n[1]}, {Limit: n[2] + n[3]}}})
	}
	vms, err := readCSV(filepath.Join(dir, "medium.vms.csv"))
	if err != nil {
		return nil, err
	}
	for _, v := range vms {
		n, err := numbers(v[4:8])
		if err != nil {
			return nil, err
		}
		p.VMs = append(p.VMs, placement.VM{Name: v[0], Power: placement.PowerOn, Server: v[3], Demand: []int64{n[0] + n[1], n[2] + n[3]}})
	}
	return p, nil
}

func readCSV(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	return rows[1:], nil
}

func numbers(fields []string) ([]int64, error) {
	out := make([]int64, len(fields))
	for i, s := range fields {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}
