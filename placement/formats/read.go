package formats

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"yagura/placement"
)

// ReadFile reads a problem, choosing the format by the file's name, and
// returns it with a request that suits it: create what is on no server, or
// save power.
//
//	*.data                       Ganeti; *.util beside it is read as well
//	*.vbp                        vector packing
//	*.bpp, binpack*.txt          bin packing; path#NAME picks an instance, else the first
//	*.hosts.csv or *.vms.csv     a cluster, with the other file beside it
//	model_*.txt                  machine reassignment, with assignment_*.txt beside it
//	anything else                placement's text format
func ReadFile(path string) (*placement.Problem, placement.Request, error) {
	p, err := readFile(path)
	if err != nil {
		return nil, placement.Request{}, fmt.Errorf("%s: %w", path, err)
	}
	req := placement.Request{Objective: placement.SavePower}
	for i := range p.VMs {
		if p.VMs[i].Server == "" {
			req.Objective = placement.Create
			req.VMs = append(req.VMs, p.VMs[i].Name)
		}
	}
	return p, req, nil
}

func readFile(path string) (*placement.Problem, error) {
	path, instance, _ := strings.Cut(path, "#")
	base := filepath.Base(path)
	switch {
	case strings.HasSuffix(base, ".data"):
		return readGaneti(path)
	case strings.HasSuffix(base, ".vbp"):
		return open(path, func(r io.Reader) (*placement.Problem, error) {
			v, err := ReadVBP(r)
			if err != nil {
				return nil, err
			}
			return v.Problem(base), nil
		})
	case strings.HasSuffix(base, ".bpp"):
		return pick(path, instance, ReadBPP)
	case strings.HasPrefix(base, "binpack") && strings.HasSuffix(base, ".txt"):
		return pick(path, instance, ReadORLibrary)
	case strings.HasSuffix(base, ".hosts.csv"):
		return pair(path, strings.TrimSuffix(path, ".hosts.csv")+".vms.csv", ReadCSV)
	case strings.HasSuffix(base, ".vms.csv"):
		return pair(strings.TrimSuffix(path, ".vms.csv")+".hosts.csv", path, ReadCSV)
	case strings.HasPrefix(base, "model_"):
		return pair(path, filepath.Join(filepath.Dir(path), "assignment_"+strings.TrimPrefix(base, "model_")), ReadReassignment)
	}
	return open(path, placement.Parse)
}

func open(path string, read func(io.Reader) (*placement.Problem, error)) (*placement.Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f)
}

func pair(a, b string, read func(a, b io.Reader) (*placement.Problem, error)) (*placement.Problem, error) {
	return open(a, func(ra io.Reader) (*placement.Problem, error) {
		return open(b, func(rb io.Reader) (*placement.Problem, error) { return read(ra, rb) })
	})
}

func readGaneti(path string) (*placement.Problem, error) {
	return open(path, func(data io.Reader) (*placement.Problem, error) {
		f, err := os.Open(strings.TrimSuffix(path, ".data") + ".util")
		if errors.Is(err, fs.ErrNotExist) {
			return placement.ParseGaneti(data, nil)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return placement.ParseGaneti(data, f)
	})
}

func pick(path, instance string, read func(io.Reader) ([]BinPacking, error)) (*placement.Problem, error) {
	return open(path, func(r io.Reader) (*placement.Problem, error) {
		list, err := read(r)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if instance == "" || list[i].Name == instance {
				return list[i].Problem(), nil
			}
		}
		return nil, fmt.Errorf("there is no instance %q among %d", instance, len(list))
	})
}
