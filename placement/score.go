package placement

import "math"

// balance keeps the score of a state up to date: the standard deviation over
// the running servers of their share in use, summed over the dimensions. With
// memory, CPU and load as dimensions it is the score of Ganeti's hbal.
type balance struct {
	n    int       // running servers
	nd   int       // dimensions that count
	from int       // the first of them; 1 leaves the capacity number out
	inv  []float64 // server*nd+d: 1 / size
	used []float64 // server*nd+d: share in use
	sum  []float64 // per dimension, of the shares
	sq   []float64 // per dimension, of their squares
	runs []bool
}

func newBalance(c *Cluster, st *state, runs []bool) *balance {
	b := &balance{nd: c.nd, runs: runs}
	if c.nd > 1 {
		b.from, b.nd = 1, c.nd-1
	}
	b.inv, b.used = make([]float64, len(runs)*b.nd), make([]float64, len(runs)*b.nd)
	b.sum, b.sq = make([]float64, b.nd), make([]float64, b.nd)
	for s, on := range runs {
		if !on {
			continue
		}
		b.n++
		for d := range b.nd {
			k := s*b.nd + d
			used, size := c.inUse(st, s, b.from+d)
			b.inv[k] = 1 / float64(size)
			b.used[k] = float64(used) * b.inv[k]
			b.sum[d] += b.used[k]
			b.sq[d] += b.used[k] * b.used[k]
		}
	}
	return b
}

// inUse is what the VMs and the server itself use of dimension d of server s,
// and the size that this is a share of.
func (c *Cluster) inUse(st *state, s, d int) (used, size int64) {
	used = c.limits[s*c.nd+d] - st.free[s*c.nd+d]
	if d == 0 {
		return used, c.p.Servers[s].Capacity
	}
	l := c.p.Servers[s].Limits[d-1]
	size = l.Size
	if size == 0 {
		size = l.Limit + l.Own
	}
	return used + l.Own, size
}

// floor is a score that no placement of the VMs goes below: a VM can't be
// split, so those larger than the mean share stand out wherever they are, and
// at best alone. It counts dimensions in which all servers have the same size,
// which makes the sorted shares of any placement majorize these.
func (b *balance) floor(c *Cluster, st *state) float64 {
	total := 0.0
	for d := range b.nd {
		if size, own, same := b.alike(c, d); same && b.n > 0 {
			total += b.floorOf(c, st, b.from+d, size, own, b.sum[d]/float64(b.n))
		}
	}
	return total
}

// alike says whether all running servers have the same size and use the same
// themselves.
func (b *balance) alike(c *Cluster, d int) (size, own int64, same bool) {
	first := true
	for s, on := range b.runs {
		if !on {
			continue
		}
		var o int64
		_, z := c.inUse(&c.now, s, b.from+d)
		if b.from+d > 0 {
			o = c.p.Servers[s].Limits[b.from+d-1].Own
		}
		if !first && (z != size || o != own) {
			return 0, 0, false
		}
		size, own, first = z, o, false
	}
	return size, own, true
}

func (b *balance) floorOf(c *Cluster, st *state, d int, size, own int64, mean float64) float64 {
	large, squares, over := 0, 0.0, 0.0
	for v, h := range st.host {
		if h < 0 || !b.runs[h] || !st.active[v] {
			continue
		}
		if x := float64(c.demands[v*c.nd+d]+own)/float64(size) - mean; x > 0 {
			large++
			squares += x * x
			over += x
		}
	}
	if large == 0 || large >= b.n {
		return 0
	}
	rest := float64(b.n - large)
	return math.Sqrt((squares + over*over/rest) / float64(b.n))
}

func deviation(n int, sum, sq float64) float64 {
	mean := sum / float64(n)
	return math.Sqrt(max(sq/float64(n)-mean*mean, 0))
}

func (b *balance) score() float64 {
	if b.n == 0 {
		return 0
	}
	total := 0.0
	for d := range b.nd {
		total += deviation(b.n, b.sum[d], b.sq[d])
	}
	return total
}

// after is the score if need moved from server s to server t.
func (b *balance) after(need []int64, s, t int) float64 {
	total := 0.0
	for d := range b.nd {
		n := float64(need[b.from+d])
		x, y := b.used[s*b.nd+d], b.used[t*b.nd+d]
		dx, dy := -n*b.inv[s*b.nd+d], n*b.inv[t*b.nd+d]
		total += deviation(b.n, b.sum[d]+dx+dy, b.sq[d]+dx*(2*x+dx)+dy*(2*y+dy))
	}
	return total
}

// afterSwap is the score if out moved from server s to t and in from t to s.
func (b *balance) afterSwap(out, in []float64, s, t int) float64 {
	total := 0.0
	for d := range b.nd {
		n := out[d] - in[d]
		ks, kt := s*b.nd+d, t*b.nd+d
		dx, dy := -n*b.inv[ks], n*b.inv[kt]
		total += deviation(b.n, b.sum[d]+dx+dy, b.sq[d]+dx*(2*b.used[ks]+dx)+dy*(2*b.used[kt]+dy))
	}
	return total
}

// move counts need on server t instead of s.
func (b *balance) move(need []int64, s, t int) {
	for d := range b.nd {
		n := float64(need[b.from+d])
		b.shift(s*b.nd+d, d, -n*b.inv[s*b.nd+d])
		b.shift(t*b.nd+d, d, n*b.inv[t*b.nd+d])
	}
}

func (b *balance) shift(k, d int, by float64) {
	b.sum[d] += by
	b.sq[d] += by * (2*b.used[k] + by)
	b.used[k] += by
}

// steep prepares quick estimates: weight turns a change of a dimension's sum of
// squares into one of the score.
func (b *balance) steep(weight []float64) {
	for d := range b.nd {
		weight[d] = 1 / (2 * float64(b.n) * max(deviation(b.n, b.sum[d], b.sq[d]), 1e-3))
	}
}
