package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"yagura/placement/formats"
	"yagura/placement/internal/pack"
)

// limit is the CPU time that one problem may take.
const limit = time.Second

func (b *bench) oneDim() error {
	type set struct {
		name, goal string
		list       []instance
	}
	var sets []set
	if b.data == "" {
		sets = []set{{"own uniform, 500 items", "all proven", uniformSet(20, 500)}, {"own triplets, 249 items", "all proven", tripletSet(20, 83)}}
	} else {
		for _, f := range []struct{ file, name, goal string }{{"falkenauer/binpack1.txt", "Falkenauer u120", "all proven"}, {"falkenauer/binpack3.txt", "Falkenauer u500", "all proven"},
			{"falkenauer/binpack5.txt", "Falkenauer t60", "all proven"}, {"falkenauer/binpack7.txt", "Falkenauer t249", "all proven"}, {"classic/SCH_WAE1.bpp", "Schwerin 1", "all proven"},
			{"classic/WAE_GAU1.bpp", "Waescher & Gau", "all proven"}, {"classic/hard28.bpp", "Hard28", "16 of 28 optimal"}} {
			list, err := readSet(filepath.Join(b.data, "binpack", f.file))
			if err != nil {
				return err
			}
			sets = append(sets, set{f.name, f.goal, list})
		}
	}
	for _, s := range sets {
		proven, optimal, over, lower := 0, 0, int64(0), int64(0)
		var total, worst time.Duration
		for _, in := range s.list {
			r, t, err := packOne(&in)
			if err != nil {
				return err
			}
			total, worst = total+t, max(worst, t)
			if r.Optimal() {
				proven++
			}
			if r.Optimal() || r.Used == in.optimum {
				optimal++
			}
			over += r.Used - r.Bound
			lower += r.Bound
		}
		n := len(s.list)
		row(s.name, fmt.Sprintf("%d of %d optimal, %d proven", optimal, n, proven), s.goal, float64(optimal)/float64(n), float64(over)/float64(lower), total/time.Duration(n))
		row("  longest", "", "1 s each", worst.Seconds(), none, worst)
	}
	return nil
}

func packOne(in *instance) (r *pack.Result, t time.Duration, err error) {
	t = cpu(func() { r, err = pack.OneDim(newBudget(limit), in.Capacity, in.Size, in.Count, 1, 0) })
	if err == nil {
		err = checkBins(r, []int64{in.Capacity}, func(i int) []int64 { return in.Size[i : i+1] }, in.Count)
	}
	return r, t, err
}

// checkBins carries a packing out: all items once, no bin overfull.
func checkBins(r *pack.Result, capacity []int64, size func(int) []int64, count []int64) error {
	left := slices.Clone(count)
	used := int64(0)
	for _, bin := range r.Bins {
		room := slices.Clone(capacity)
		for _, it := range bin.Items {
			left[it.Size] -= it.N * bin.Times
			for d, s := range size(it.Size) {
				if room[d] -= s * it.N; room[d] < 0 {
					return fmt.Errorf("a bin is overfull")
				}
			}
		}
		used += bin.Times
	}
	if i := slices.IndexFunc(left, func(n int64) bool { return n != 0 }); i >= 0 || used != r.Used {
		return fmt.Errorf("not every item is packed once")
	}
	return nil
}

func (b *bench) groupedSizes() error {
	for _, c := range []struct {
		name, goal string
		in         instance
	}{
		{"100,000 VMs of 81 sizes", "at the bound in 50 ms", uniformSet(1, 100_000)[0]},
		{"triplets of 100,000", "at the bound in 1 s", tripletSet(1, 33_333)[0]},
	} {
		r, t, err := packOne(&c.in)
		if err != nil {
			return err
		}
		row(c.name, fmt.Sprintf("%d bins, bound %d", r.Used, r.Bound), c.goal, float64(r.Used)/float64(r.Bound), float64(r.Used-r.Bound)/float64(r.Bound), t)
	}
	return nil
}

func (b *bench) vectors() error {
	if b.data == "" {
		row("vector packing", "no data", "needs -data", none, none, 0)
		return nil
	}
	dir := filepath.Join(b.data, "binpack", "vector")
	rows, err := readTable(filepath.Join(dir, "reference.tsv"))
	if err != nil {
		return err
	}
	type sum struct{ ours, bound, ref, heuristic, files int64 }
	var families []string
	sums := map[string]*sum{}
	var spent time.Duration
	all := &sum{}
	for _, r := range rows {
		v, err := readVBP(filepath.Join(dir, r[0]+".vbp"))
		if err != nil {
			return err
		}
		known, err := integers(r[1], r[3])
		if err != nil {
			return err
		}
		ref := known[0]
		if r[2] != "-" {
			n, err := integers(r[2])
			if err != nil {
				return err
			}
			ref = n[0]
		}
		var res *pack.Result
		spent += cpu(func() { res, err = pack.Vector(newBudget(limit), v.Capacity, v.Size, v.Count, 1, 0) })
		if err == nil {
			err = checkBins(res, v.Capacity, func(i int) []int64 { return v.Size[i] }, v.Count)
		}
		if err != nil {
			return err
		}
		family := strings.SplitN(r[0], "__", 2)[0]
		if sums[family] == nil {
			sums[family] = &sum{}
			families = append(families, family)
		}
		for _, s := range []*sum{sums[family], all} {
			s.ours += res.Used
			s.bound += max(res.Bound, known[0])
			s.ref += ref
			s.heuristic += known[1]
			s.files++
		}
	}
	show := func(name string, s *sum, goal string, t time.Duration) {
		row(name, fmt.Sprintf("%d bins in %d files", s.ours, s.files), goal, float64(s.ours)/float64(s.heuristic), float64(s.ours-s.bound)/float64(s.bound), t)
	}
	for _, f := range families {
		s := sums[f]
		show("vector packing, "+f, s, fmt.Sprintf("heuristics %d, reference %d", s.heuristic, s.ref), 0)
	}
	show("vector packing, all", all, fmt.Sprintf("at most 6600 (heuristics %d, ref %d)", all.heuristic, all.ref), spent)
	return nil
}

// uniformSet makes problems like Falkenauer's: sizes 20 to 100, capacity 150.
func uniformSet(n, items int) []instance {
	out := make([]instance, n)
	for k := range out {
		rng := rand.New(rand.NewPCG(uint64(k), uint64(items)))
		in := instance{BinPacking: formats.BinPacking{Capacity: 150}}
		for s := int64(20); s <= 100; s++ {
			in.Size, in.Count = append(in.Size, s), append(in.Count, 0)
		}
		for range items {
			in.Count[rng.IntN(81)]++
		}
		out[k] = in
	}
	return out
}

// tripletSet makes problems whose bins are filled exactly by three items.
func tripletSet(n, bins int) []instance {
	out := make([]instance, n)
	for k := range out {
		rng := rand.New(rand.NewPCG(uint64(k), uint64(bins)))
		count := map[int64]int64{}
		for range bins {
			a := 380 + rng.Int64N(111)
			b := 250 + rng.Int64N((1000-a)/2-249)
			for _, s := range []int64{a, b, 1000 - a - b} {
				count[s]++
			}
		}
		in := instance{BinPacking: formats.BinPacking{Capacity: 1000}, optimum: int64(bins)}
		for s := int64(1); s <= 1000; s++ {
			if count[s] > 0 {
				in.Size, in.Count = append(in.Size, s), append(in.Count, count[s])
			}
		}
		out[k] = in
	}
	return out
}
