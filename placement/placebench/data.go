package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"yagura/placement"
	"yagura/placement/formats"
)

// instance is a one-dimensional problem with its proven optimum, 0 if unknown.
type instance struct {
	formats.BinPacking
	optimum int64
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

// optima reads proven optima, keyed by the column before them.
func optima(path, set string) (map[string]int64, error) {
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
		if len(r) == 2 || r[0] == set {
			out[strings.Join(strings.Fields(r[len(r)-2]), " ")] = n
		}
	}
	return out, nil
}

// readSet reads a file of bin packing problems with the optima beside it.
func readSet(path string) ([]instance, error) {
	set := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	best, err := optima(filepath.Join(filepath.Dir(path), "optimal.tsv"), set)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	read := formats.ReadBPP
	if filepath.Ext(path) == ".txt" {
		read = formats.ReadORLibrary
	}
	list, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	seen := map[string]bool{}
	out := make([]instance, len(list))
	for i, b := range list {
		out[i].BinPacking = b
		if !seen[b.Name] { // of a name that comes twice the optimum isn't known
			out[i].optimum = best[b.Name]
		}
		seen[b.Name] = true
	}
	return out, nil
}

func readVBP(path string) (*formats.VectorPacking, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return formats.ReadVBP(f)
}

// readSnapshot reads the real cluster: CPU and memory summed over NUMA nodes,
// VMs bound to their cluster.
func readSnapshot(dir string) (*placement.Problem, error) {
	p, _, err := formats.ReadFile(filepath.Join(dir, "medium.hosts.csv"))
	return p, err
}

func integers(fields ...string) ([]int64, error) {
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
