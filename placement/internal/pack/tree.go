package pack

import "slices"

// maxChildren bounds the fillings looked at for one node of the tree.
const maxChildren = 5000

// tree searches all packings with fewer bins than the best: at each node the
// largest piece left must go into some filling, and only those fillings can be
// part of a better packing whose price misses that of a perfect bin by no more
// than the node's slack. When the tree ends complete, the best is proven.
type tree struct {
	*search
	g       *grouped
	lp      *master
	left    []int64
	fixed   []filling
	used    int64
	barred  map[uint64][]column // fillings whose subtrees are done
	nodes   int                 // still allowed
	partial bool                // something was left out
}

// run returns true if the whole tree was searched.
func (t *tree) run() bool {
	t.barred = map[uint64][]column{}
	t.node()
	return !t.partial
}

func (t *tree) node() {
	if t.nodes--; t.nodes < 0 || t.stopped() {
		t.partial = true
		return
	}
	goal := bins(t.best) - 1 - t.used
	rest := t.greedy(t.left)
	if bins(rest) <= goal {
		t.offer(append(slices.Clone(t.fixed), rest...))
		goal = bins(rest) - 1
	}
	if goal <= 0 || t.done() {
		return
	}
	t.lp.setDemand(demandOf(t.left))
	repaired := t.lp.dual()
	lower, ok := t.generate(t.lp, t.left, goal+1)
	if lower > goal {
		return
	}
	if !ok || !repaired || !t.proven {
		t.partial = true
		return
	}
	for _, c := range t.children(goal) {
		if t.done() {
			return
		}
		if bins(t.best)-1-t.used < goal { // a better packing was found: what is left to prove has changed
			t.partial = true
			return
		}
		f := filling{times: 1}
		for k, r := range c.rows {
			f.items = append(f.items, Count{Size: int(r), N: int64(c.n[k])})
			t.left[r] -= int64(c.n[k])
		}
		t.fixed, t.used = append(t.fixed, f), t.used+1
		t.node()
		t.fixed, t.used = t.fixed[:len(t.fixed)-1], t.used-1
		for k, r := range c.rows {
			t.left[r] += int64(c.n[k])
		}
		if t.partial && t.nodes < 0 {
			return
		}
		h := c.hash()
		t.barred[h] = append(t.barred[h], c)
		defer func() { t.barred[h] = t.barred[h][:len(t.barred[h])-1] }()
	}
}

// children returns the fillings that may hold the largest piece left, those
// first that the program uses most.
func (t *tree) children(goal int64) []column {
	row := slices.IndexFunc(t.left, func(n int64) bool { return n > 0 })
	total := int64(0)
	for i, p := range t.prices {
		total += p * t.left[i]
	}
	need := total - (goal-1)*t.lastValue
	found, all := t.g.kn.withRow(row, need, maxChildren)
	if !all {
		t.partial = true
	}
	use := map[int]float64{}
	for i, j := range t.lp.basis {
		if j >= 0 {
			use[j] = t.lp.x[i]
		}
	}
	type child struct {
		column
		use   float64
		price int64
	}
	var list []child
	for _, c := range found {
		if slices.ContainsFunc(t.barred[c.hash()], c.equal) {
			continue
		}
		ch := child{column: c}
		for k, r := range c.rows {
			ch.price += t.prices[r] * int64(c.n[k])
		}
		for _, j := range t.lp.seen[c.hash()] {
			if t.lp.cols[j].equal(c) {
				ch.use = use[int(j)]
			}
		}
		list = append(list, ch)
	}
	slices.SortStableFunc(list, func(a, b child) int {
		switch {
		case a.use > b.use+1e-9:
			return -1
		case b.use > a.use+1e-9:
			return 1
		}
		return int(min(max(b.price-a.price, -1), 1))
	})
	out := make([]column, len(list))
	for i := range list {
		out[i] = list[i].column
	}
	return out
}

// withRow lists the fillings that hold a piece of the row and are worth at
// least need, and says whether these are all of them.
func (k *knapsack) withRow(row int, need int64, most int) ([]column, bool) {
	var rows []int
	for i := range k.size {
		if k.limit[i] > 0 {
			rows = append(rows, i)
		}
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		x, y := float64(k.price[a])*float64(k.size[b]), float64(k.price[b])*float64(k.size[a])
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return a - b
	})
	ratio := make([]float64, len(rows)+1)
	for i, j := range rows {
		ratio[i] = float64(k.price[j]) / float64(k.size[j])
	}
	take := make([]int32, len(k.size))
	take[row] = 1
	var out []column
	all, nodes := true, 0
	var dig func(i int, room, value int64)
	dig = func(i int, room, value int64) {
		if float64(value)+float64(room)*ratio[i] < float64(need)-0.5 {
			return
		}
		if nodes++; len(out) >= most || nodes > 400*most {
			all = false
			return
		}
		if i == len(rows) {
			out = append(out, columnOf(take))
			return
		}
		j := rows[i]
		was := take[j]
		for n := min(int64(k.limit[j]-was), room/k.size[j]); n >= 0; n-- {
			take[j] = was + int32(n)
			dig(i+1, room-n*k.size[j], value+n*k.price[j])
		}
		take[j] = was
	}
	dig(0, k.capacity-k.size[row], k.price[row])
	return out, all
}

func columnOf(take []int32) column {
	var c column
	for r, n := range take {
		if n > 0 {
			c.rows, c.n = append(c.rows, int32(r)), append(c.n, n)
		}
	}
	return c
}
