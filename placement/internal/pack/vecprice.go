package pack

import "slices"

// pricing finds good fillings for a vector problem: a depth-first search over
// the rows by price per size, cut off by a bound on what the room left can
// still be worth.
type pricing struct {
	v       *vector
	order   []int
	price   []int64
	limit   []int32
	bestOf  []float64 // place*(nd+1)+d: greatest price per share from there on; d = nd is the sum of shares
	room    []int64
	take    []int32
	best    int64
	found   []column
	nodes   int
	perUnit []float64 // 1 / capacity
	shares  []float64 // stack of the room's shares and their sum
}

func (v *vector) price(prices []int64, limit []int32, floor int64, exact bool) (int64, bool, []column) {
	nodes := 3000
	if exact {
		nodes = 30_000
	}
	return v.pr.solve(prices, limit, floor, nodes)
}

func (p *pricing) solve(prices []int64, limit []int32, floor int64, nodes int) (int64, bool, []column) {
	v := p.v
	p.price, p.limit, p.order = prices, limit, p.order[:0]
	for i, c := range prices {
		if c > 0 && limit[i] > 0 {
			p.order = append(p.order, i)
		}
	}
	slices.SortFunc(p.order, func(a, b int) int {
		x, y := float64(prices[a])*v.sum[b], float64(prices[b])*v.sum[a]
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return a - b
	})
	w := v.nd + 1
	n := len(p.order)
	p.bestOf = slices.Grow(p.bestOf[:0], (n+1)*w)[:(n+1)*w]
	clear(p.bestOf[n*w:])
	for k := n - 1; k >= 0; k-- {
		i := p.order[k]
		c := float64(prices[i])
		for d := range v.nd {
			p.bestOf[k*w+d] = max(p.bestOf[(k+1)*w+d], c/max(v.share[i*v.nd+d], 1e-9))
		}
		p.bestOf[k*w+v.nd] = max(p.bestOf[(k+1)*w+v.nd], c/max(v.sum[i], 1e-9))
	}
	p.room = append(p.room[:0], v.capacity...)
	p.perUnit, p.shares = p.perUnit[:0], p.shares[:0]
	for _, c := range v.capacity {
		p.perUnit = append(p.perUnit, 1/float64(max(c, 1)))
	}
	p.take = slices.Grow(p.take[:0], len(prices))[:len(prices)]
	clear(p.take)
	p.best, p.found, p.nodes = floor, nil, nodes
	p.dig(0, 0)
	return p.best, p.nodes > 0, p.found
}

func (p *pricing) dig(k int, value int64) {
	if value > p.best {
		p.best = value
		p.found = append(p.found, columnOf(p.take))
	}
	v := p.v
	w := v.nd + 1
	// What the rows from a place on can add is at most the room in any one
	// dimension, or in their sum, at the best price there.
	at := len(p.shares)
	sum := 0.0
	for d, r := range p.room {
		share := float64(r) * p.perUnit[d]
		sum += share
		p.shares = append(p.shares, share)
	}
	p.shares = append(p.shares, sum)
	shares := p.shares[at : at+w]
	defer func() { p.shares = p.shares[:at] }()
	for ; k < len(p.order); k++ {
		need := float64(p.best-value) + 0.5
		for d, b := range p.bestOf[k*w : (k+1)*w] {
			if shares[d]*b < need {
				return
			}
		}
		i := p.order[k]
		size := v.size[i*v.nd : (i+1)*v.nd]
		n := int64(p.limit[i])
		for d, s := range size {
			if s > p.room[d] {
				n = 0
				break
			}
			if n > 1 && s > 0 {
				n = min(n, p.room[d]/s)
			}
		}
		if n == 0 {
			continue
		}
		if p.nodes--; p.nodes <= 0 {
			return
		}
		for d, s := range size {
			p.room[d] -= n * s
		}
		for ; n > 0; n-- {
			p.take[i] = int32(n)
			p.dig(k+1, value+n*p.price[i])
			for d, s := range size {
				p.room[d] += s
			}
		}
		p.take[i] = 0
	}
}
