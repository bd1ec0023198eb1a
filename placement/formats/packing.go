package formats

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"yagura/placement"
)

// most items of a problem that is read; more is taken for a broken file.
const mostItems = 1_000_000

// BinPacking is a bin packing problem in one dimension.
type BinPacking struct {
	Name     string
	Capacity int64
	Size     []int64
	Count    []int64
}

// Problem makes each bin a stopped server and each item a VM on none.
func (b *BinPacking) Problem() *placement.Problem {
	p := &placement.Problem{Name: b.Name}
	items, volume := int64(0), int64(0)
	for i, s := range b.Size {
		for range b.Count[i] {
			p.VMs = append(p.VMs, placement.VM{Name: fmt.Sprintf("item%d", items), Power: placement.PowerOn, Cost: s})
			items++
		}
		volume += s * b.Count[i]
	}
	addBins(p, min(items, 2*volume/b.Capacity+2), placement.Server{Capacity: b.Capacity})
	return p
}

// addBins adds n stopped servers like s.
func addBins(p *placement.Problem, n int64, s placement.Server) {
	s.State, s.Startable = placement.ServerOff, true
	for i := range n {
		s.Name = fmt.Sprintf("bin%d", i)
		p.Servers = append(p.Servers, s)
	}
}

// ReadORLibrary reads a bin packing file of OR-Library: the number of
// instances; of each its name, "capacity items best-known" and the sizes.
// Where sizes have a decimal all are taken times ten.
func ReadORLibrary(r io.Reader) ([]BinPacking, error) {
	in := bufio.NewReader(r)
	var n int
	if _, err := fmt.Fscan(in, &n); err != nil || n < 0 || n > mostItems {
		return nil, fmt.Errorf("the first line is no number of instances")
	}
	var out []BinPacking
	for range n {
		var b BinPacking
		var capacity float64
		var items, best int
		if _, err := fmt.Fscan(in, &b.Name, &capacity, &items, &best); err != nil || items < 0 || items > mostItems || !(capacity >= 1 && capacity < 1e9) {
			return nil, fmt.Errorf("instance %d: needs name, capacity, number of items and best known", len(out)+1)
		}
		b.Capacity = tenfold(capacity)
		for range items {
			var s float64
			if _, err := fmt.Fscan(in, &s); err != nil || !(s > 0 && s <= capacity) {
				return nil, fmt.Errorf("instance %q: size %d is missing or not above 0 and up to the capacity", b.Name, len(b.Size)+1)
			}
			b.Size, b.Count = append(b.Size, tenfold(s)), append(b.Count, 1)
		}
		out = append(out, b)
	}
	return out, nil
}

func tenfold(x float64) int64 { return int64(x*10 + 0.5) }

// ReadBPP reads a file of instances with counted sizes: name, number of sizes,
// capacity, and a line "size count" for each size.
func ReadBPP(r io.Reader) ([]BinPacking, error) {
	in := bufio.NewScanner(r)
	line := 0
	next := func() (string, bool) {
		for in.Scan() {
			line++
			if s := strings.TrimSpace(in.Text()); s != "" {
				return s, true
			}
		}
		return "", false
	}
	var out []BinPacking
	for {
		name, ok := next()
		if !ok {
			return out, in.Err()
		}
		b := BinPacking{Name: strings.Join(strings.Fields(strings.Trim(name, "'")), " ")}
		sizes, _ := next()
		capacity, _ := next()
		var m int
		if _, err := fmt.Sscan(sizes+" "+capacity, &m, &b.Capacity); err != nil || m < 0 || b.Capacity < 1 {
			return nil, fmt.Errorf("line %d: instance %q needs a number of sizes and a capacity", line, b.Name)
		}
		items := int64(0)
		for range m {
			text, _ := next()
			var s, n int64
			if _, err := fmt.Sscan(text, &s, &n); err != nil || s < 1 || s > b.Capacity || n < 0 || n > mostItems-items {
				return nil, fmt.Errorf("line %d: instance %q needs a size from 1 to the capacity and a count", line, b.Name)
			}
			items += n
			b.Size, b.Count = append(b.Size, s), append(b.Count, n)
		}
		out = append(out, b)
	}
}

// VectorPacking is a bin packing problem in several dimensions.
type VectorPacking struct {
	Capacity []int64
	Size     [][]int64
	Count    []int64
}

// ReadVBP reads VPSolver's format: dimensions, capacities, number of kinds, and
// for each its sizes and count. Sizes below 0, which some published files have,
// are taken as 0: a packing of these fits the original as well.
func ReadVBP(r io.Reader) (*VectorPacking, error) {
	in := bufio.NewReader(r)
	var nd, m int
	if _, err := fmt.Fscan(in, &nd); err != nil || nd < 1 || nd > 1000 {
		return nil, fmt.Errorf("the first number is no number of dimensions")
	}
	v := &VectorPacking{Capacity: make([]int64, nd)}
	for d := range v.Capacity {
		if _, err := fmt.Fscan(in, &v.Capacity[d]); err != nil || v.Capacity[d] < 1 || v.Capacity[d] > placement.MaxQuantity {
			return nil, fmt.Errorf("capacity %d is missing or not above 0", d+1)
		}
	}
	if _, err := fmt.Fscan(in, &m); err != nil || m < 0 || m > mostItems {
		return nil, fmt.Errorf("the number of kinds is missing")
	}
	for k := range m {
		w, n := make([]int64, nd), int64(0)
		for d := range w {
			if _, err := fmt.Fscan(in, &w[d]); err != nil || w[d] > v.Capacity[d] {
				return nil, fmt.Errorf("kind %d: size %d is missing or above the capacity", k+1, d+1)
			}
			w[d] = max(w[d], 0)
		}
		if _, err := fmt.Fscan(in, &n); err != nil || n < 0 || n > mostItems {
			return nil, fmt.Errorf("kind %d: the count is missing", k+1)
		}
		v.Size, v.Count = append(v.Size, w), append(v.Count, n)
	}
	return v, nil
}

// Problem makes each bin a stopped server and each item a VM on none.
func (v *VectorPacking) Problem(name string) *placement.Problem {
	p := &placement.Problem{Name: name}
	bin := placement.Server{Capacity: 1}
	volume := make([]float64, len(v.Capacity))
	for d, c := range v.Capacity {
		p.Dimensions = append(p.Dimensions, placement.Dimension{Name: fmt.Sprintf("d%d", d+1)})
		bin.Limits = append(bin.Limits, placement.Limit{Limit: c})
	}
	for i, w := range v.Size {
		for range v.Count[i] {
			p.VMs = append(p.VMs, placement.VM{Name: fmt.Sprintf("item%d", len(p.VMs)), Power: placement.PowerOn, Demand: w})
		}
		for d, s := range w {
			volume[d] += float64(s*v.Count[i]) / float64(v.Capacity[d])
		}
	}
	bins := 2.0
	for _, x := range volume {
		bins += 2 * x
	}
	addBins(p, min(int64(len(p.VMs)), int64(bins)), bin)
	return p
}
