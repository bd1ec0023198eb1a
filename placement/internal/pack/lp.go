package pack

import "math"

// column is a filling of one bin: how many items of which sizes.
type column struct {
	rows []int32
	n    []int32
}

// master is the linear program "cover the demand with the fewest fillings",
// over the columns found so far. It is a revised simplex with an explicit
// inverse of the basis; the number of rows is the number of distinct sizes.
type master struct {
	m        int
	b        []float64 // demand still to be covered
	cols     []column
	allowed  []bool    // column may enter: it takes no more than is demanded
	weight   []float64 // of the column's reduced cost when one is chosen to enter
	basic    []bool    // column is in the basis
	slack    []bool    // surplus of the row is in the basis
	basis    []int     // per row: a column, or ^row for a surplus
	inv      []float64
	x        []float64 // values of the basis
	y        []float64 // duals
	w        []float64 // scratch: the entering column in terms of the basis
	nz       []int32   // scratch: places of a row that are not zero
	pivots   int
	seen     map[uint64][]int32
	maxSteps int
}

// newMaster starts from one column for each row, which holds that size only.
func newMaster(b []float64, single []int32) *master {
	m := len(b)
	lp := &master{m: m, b: append([]float64(nil), b...), slack: make([]bool, m), basis: make([]int, m), inv: make([]float64, m*m),
		x: make([]float64, m), y: make([]float64, m), w: make([]float64, m), nz: make([]int32, 0, m), seen: map[uint64][]int32{}}
	for i := range m {
		j, _ := lp.add(column{rows: []int32{int32(i)}, n: []int32{single[i]}})
		lp.basis[i], lp.basic[j] = j, true
		k := float64(single[i])
		lp.inv[i*m+i], lp.x[i], lp.y[i] = 1/k, b[i]/k, 1/k
	}
	return lp
}

// clone copies all that later pivots change; columns are shared and only
// appended to.
func (lp *master) clone() *master {
	c := *lp
	c.b = append([]float64(nil), lp.b...)
	c.cols = lp.cols[:len(lp.cols):len(lp.cols)]
	c.allowed = append([]bool(nil), lp.allowed...)
	c.basic = append([]bool(nil), lp.basic...)
	c.slack = append([]bool(nil), lp.slack...)
	c.basis = append([]int(nil), lp.basis...)
	c.inv = append([]float64(nil), lp.inv...)
	c.x = append([]float64(nil), lp.x...)
	c.y = append([]float64(nil), lp.y...)
	c.weight = lp.weight[:len(lp.weight):len(lp.weight)]
	c.w = make([]float64, lp.m)
	c.nz = make([]int32, 0, lp.m)
	c.seen = make(map[uint64][]int32, len(lp.seen))
	for k, v := range lp.seen {
		c.seen[k] = v[:len(v):len(v)]
	}
	return &c
}

func (c column) hash() uint64 {
	h := uint64(14695981039346656037)
	for i, r := range c.rows {
		h = (h ^ uint64(r)<<20 ^ uint64(c.n[i])) * 1099511628211
	}
	return h
}

func (c column) equal(d column) bool {
	if len(c.rows) != len(d.rows) {
		return false
	}
	for i := range c.rows {
		if c.rows[i] != d.rows[i] || c.n[i] != d.n[i] {
			return false
		}
	}
	return true
}

// add puts a column into the pool unless it is there; rows must be sorted.
func (lp *master) add(c column) (j int, fresh bool) {
	h := c.hash()
	for _, j := range lp.seen[h] {
		if lp.cols[j].equal(c) {
			return int(j), false
		}
	}
	j = len(lp.cols)
	lp.seen[h] = append(lp.seen[h], int32(j))
	lp.cols = append(lp.cols, c)
	lp.allowed = append(lp.allowed, lp.proper(c))
	length := 1.0
	for _, n := range c.n {
		length += float64(n) * float64(n)
	}
	lp.weight = append(lp.weight, 1/length)
	lp.basic = append(lp.basic, false)
	return j, true
}

// proper says whether the column takes no more than is demanded.
func (lp *master) proper(c column) bool {
	for i, r := range c.rows {
		if float64(c.n[i]) > lp.b[r]+0.5 {
			return false
		}
	}
	return true
}

// setDemand changes the demand and, with the basis kept, its values, which may
// become negative: dual() repairs that.
func (lp *master) setDemand(b []float64) {
	copy(lp.b, b)
	for j, c := range lp.cols {
		lp.allowed[j] = lp.proper(c)
	}
	for i := range lp.m {
		row := lp.inv[i*lp.m : (i+1)*lp.m]
		s := 0.0
		for k, v := range row {
			s += v * lp.b[k]
		}
		lp.x[i] = s
	}
}

// value is the number of bins of the current solution.
func (lp *master) value() float64 {
	s := 0.0
	for i, j := range lp.basis {
		if j >= 0 {
			s += lp.x[i]
		}
	}
	return s
}

func (lp *master) reduced(j int) float64 {
	c := &lp.cols[j]
	d := 1.0
	for i, r := range c.rows {
		d -= lp.y[r] * float64(c.n[i])
	}
	return d
}

// price is what the duals would pay for the column; above 1 it helps.
func (lp *master) price(c column) float64 {
	p := 0.0
	for i, r := range c.rows {
		p += lp.y[r] * float64(c.n[i])
	}
	return p
}

// primal runs simplex steps over the pool until no column there helps.
func (lp *master) primal() {
	for lp.maxSteps = lp.pivots + 50*lp.m + 1000; lp.pivots < lp.maxSteps; {
		best, enter, isSlack := -1e-8, -1, false
		steepest := 0.0
		for j := range lp.cols {
			if !lp.allowed[j] || lp.basic[j] {
				continue
			}
			if d := lp.reduced(j); d < -1e-8 && d*lp.weight[j] < steepest {
				steepest = d * lp.weight[j]
				best, enter, isSlack = d, j, false
			}
		}
		for i, y := range lp.y {
			if y < -1e-8 && y < steepest && !lp.slack[i] {
				steepest = y
				best, enter, isSlack = y, i, true
			}
		}
		if enter < 0 || !lp.enter(enter, isSlack, best) {
			return
		}
	}
}

// enter brings a column or surplus with reduced cost d into the basis.
func (lp *master) enter(j int, isSlack bool, d float64) bool {
	m := lp.m
	if isSlack {
		for i := range m {
			lp.w[i] = -lp.inv[i*m+j]
		}
	} else {
		lp.ftran(&lp.cols[j])
	}
	r, ratio := -1, math.Inf(1)
	for i, w := range lp.w {
		if w <= 1e-7 {
			continue
		}
		t := max(lp.x[i], 0) / w
		if t < ratio-1e-10 || t < ratio+1e-10 && w > lp.w[r] {
			r, ratio = i, t
		}
	}
	if r < 0 {
		return false
	}
	lp.pivot(r, j, isSlack, d)
	return true
}

func (lp *master) ftran(c *column) {
	m := lp.m
	for i := range m {
		row := lp.inv[i*m : (i+1)*m]
		s := 0.0
		for k, r := range c.rows {
			s += row[r] * float64(c.n[k])
		}
		lp.w[i] = s
	}
}

// pivot makes column j (or the surplus of row j) basic in row r. lp.w holds it
// in terms of the basis, d is its reduced cost.
func (lp *master) pivot(r, j int, isSlack bool, d float64) {
	m := lp.m
	if old := lp.basis[r]; old >= 0 {
		lp.basic[old] = false
	} else {
		lp.slack[^old] = false
	}
	if isSlack {
		lp.basis[r], lp.slack[j] = ^j, true
	} else {
		lp.basis[r], lp.basic[j] = j, true
	}
	rowR := lp.inv[r*m : (r+1)*m]
	f := 1 / lp.w[r]
	for k := range rowR {
		rowR[k] *= f
	}
	lp.x[r] *= f
	nz := lp.nz[:0]
	for k, v := range rowR {
		if v != 0 {
			nz = append(nz, int32(k))
		}
	}
	for i, w := range lp.w {
		if i == r || math.Abs(w) < 1e-13 {
			continue
		}
		row := lp.inv[i*m : (i+1)*m]
		if len(nz) > m/2 {
			row = row[:len(rowR)]
			for k, v := range rowR {
				row[k] -= w * v
			}
		} else {
			for _, k := range nz {
				row[k] -= w * rowR[k]
			}
		}
		lp.x[i] -= w * lp.x[r]
	}
	for k, v := range rowR {
		lp.y[k] += d * v
	}
	lp.pivots++
	if lp.pivots%400 == 0 {
		lp.refresh()
	}
}

// dual repairs negative values after a change of demand, keeping the duals
// feasible. It returns false if it can't.
func (lp *master) dual() bool {
	m := lp.m
	for step := 0; step < 20*m+200; step++ {
		r, least := -1, -1e-7
		for i, x := range lp.x {
			if x < least {
				r, least = i, x
			}
		}
		if r < 0 {
			return true
		}
		rho := lp.inv[r*m : (r+1)*m]
		enter, isSlack, ratio, dEnter, aEnter := -1, false, math.Inf(1), 0.0, 0.0
		consider := func(j int, slack bool, alpha, d float64) {
			if t := max(d, 0) / -alpha; t < ratio-1e-12 || t < ratio+1e-12 && alpha < aEnter {
				enter, isSlack, ratio, dEnter, aEnter = j, slack, t, d, alpha
			}
		}
		for j := range lp.cols {
			if !lp.allowed[j] || lp.basic[j] {
				continue
			}
			c := &lp.cols[j]
			alpha := 0.0
			for k, row := range c.rows {
				alpha += rho[row] * float64(c.n[k])
			}
			if alpha < -1e-7 {
				consider(j, false, alpha, lp.reduced(j))
			}
		}
		for i, v := range rho {
			if v > 1e-7 && !lp.slack[i] {
				consider(i, true, -v, lp.y[i])
			}
		}
		if enter < 0 {
			return false
		}
		if isSlack {
			for i := range m {
				lp.w[i] = -lp.inv[i*m+enter]
			}
		} else {
			lp.ftran(&lp.cols[enter])
		}
		lp.pivot(r, enter, isSlack, dEnter)
	}
	return false
}

// refresh computes values and duals anew from the inverse.
func (lp *master) refresh() {
	m := lp.m
	clear(lp.y)
	for i, j := range lp.basis {
		row := lp.inv[i*m : (i+1)*m]
		s := 0.0
		for k, v := range row {
			s += v * lp.b[k]
		}
		lp.x[i] = s
		if j >= 0 {
			for k, v := range row {
				lp.y[k] += v
			}
		}
	}
}
