package pack

import (
	"math"
	"slices"
)

// greedy packs bin after bin, each time with the piece that suits the room
// left best, in three senses of best, and returns the packing with fewest bins.
func (v *vector) greedy(left []int64) []filling {
	if v.rows() > manyRows {
		return v.firstFit(left)
	}
	weight := v.weights(left)
	var best []filling
	for _, suits := range []func(i int, room []float64) float64{
		func(i int, room []float64) float64 { // dot product of piece and room
			sum := 0.0
			for d, r := range room {
				sum += weight[d] * v.share[i*v.nd+d] * r
			}
			return sum
		},
		func(i int, room []float64) float64 { // least weighted space left
			sum := 0.0
			for d, r := range room {
				x := r - v.share[i*v.nd+d]
				sum -= weight[d] * x * x
			}
			return sum
		},
		func(i int, room []float64) float64 { // largest piece
			sum := 0.0
			for d := range room {
				sum += weight[d] * v.share[i*v.nd+d]
			}
			return sum
		},
	} {
		if fs := v.binByBin(left, suits); best == nil || bins(fs) < bins(best) {
			best = fs
		}
	}
	return best
}

// With very many rows only first fit is quick enough, and of the bins only the
// latest stay open.
const (
	manyRows = 2000
	openBins = 200
)

// firstFit packs the largest pieces first, each into the first open bin that
// has room.
func (v *vector) firstFit(left []int64) []filling {
	order := make([]int, 0, len(left))
	for i, n := range left {
		if n > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case v.sum[a] > v.sum[b]:
			return -1
		case v.sum[a] < v.sum[b]:
			return 1
		}
		return 0
	})
	var rooms [][]int64
	var out []filling
	for _, i := range order {
		for range left[i] {
			k := max(0, len(rooms)-openBins)
			for k < len(rooms) && !v.fits(i, rooms[k]) {
				k++
			}
			if k == len(rooms) {
				rooms = append(rooms, slices.Clone(v.capacity))
				out = append(out, filling{times: 1})
			}
			for d, s := range v.at(i) {
				rooms[k][d] -= s
			}
			f := &out[k]
			if n := len(f.items); n > 0 && f.items[n-1].Size == i {
				f.items[n-1].N++
			} else {
				f.items = append(f.items, Count{Size: i, N: 1})
			}
		}
	}
	return out
}

// weights are the demands of the dimensions: scarce ones count more.
func (v *vector) weights(left []int64) []float64 {
	w := make([]float64, v.nd)
	for i, n := range left {
		for d := range w {
			w[d] += float64(n) * v.share[i*v.nd+d]
		}
	}
	return w
}

func (v *vector) binByBin(left []int64, suits func(int, []float64) float64) []filling {
	rest := make([]int64, len(left))
	copy(rest, left)
	var live []int
	for i, n := range rest {
		if n > 0 {
			live = append(live, i)
		}
	}
	var out []filling
	room, share := make([]int64, v.nd), make([]float64, v.nd)
	taken := make([]int64, len(left))
	for len(live) > 0 {
		copy(room, v.capacity)
		var used []int
		for {
			for d := range share {
				share[d] = float64(room[d]) / float64(max(v.capacity[d], 1))
			}
			pick, best := -1, math.Inf(-1)
			for _, i := range live {
				if rest[i] > taken[i] && v.fits(i, room) {
					if x := suits(i, share); x > best {
						pick, best = i, x
					}
				}
			}
			if pick < 0 {
				break
			}
			if taken[pick]++; taken[pick] == 1 {
				used = append(used, pick)
			}
			for d, s := range v.at(pick) {
				room[d] -= s
			}
		}
		f := filling{times: math.MaxInt64}
		for _, i := range used {
			f.items = append(f.items, Count{Size: i, N: taken[i]})
			f.times = min(f.times, rest[i]/taken[i])
			taken[i] = 0
		}
		for _, it := range f.items {
			rest[it.Size] -= it.N * f.times
		}
		out = append(out, f)
		keep := live[:0]
		for _, i := range live {
			if rest[i] > 0 {
				keep = append(keep, i)
			}
		}
		live = keep
	}
	return out
}

func (v *vector) fits(i int, room []int64) bool {
	for d, s := range v.at(i) {
		if s > room[d] {
			return false
		}
	}
	return true
}
