package pack

import (
	"math"
	"slices"
)

// scale makes duals whole: prices are in units of 1/scale of a bin.
const scale = 1 << 30

// knapsack finds fillings of one bin with the greatest price. It is exact:
// prices are whole, and its bound errs on the safe side.
type knapsack struct {
	capacity int64
	size     []int64
	limit    []int32 // most pieces of a size
	price    []int64
	order    []int // rows with a price, by falling price per size
	ratio    []float64
	minSize  []int64 // least size from a place in the order on
	take     []int32 // by place in the order
	best     int64
	found    [][]int32 // improving fillings, by place in the order
	nodes    int
	maxNodes int
	stopped  func() bool // asked now and then
}

// stopEvery is after how many nodes the search asks whether to stop.
const stopEvery = 1 << 14

// solve returns the greatest price of a filling, and whether that is proven.
// Fillings better than floor are collected in found, the best last.
func (k *knapsack) solve(floor int64, maxNodes int) (int64, bool) {
	k.order = k.order[:0]
	for i, p := range k.price {
		if p > 0 && k.limit[i] > 0 && k.size[i] <= k.capacity {
			k.order = append(k.order, i)
		}
	}
	slices.SortFunc(k.order, func(a, b int) int {
		x, y := float64(k.price[a])*float64(k.size[b]), float64(k.price[b])*float64(k.size[a])
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		case k.size[a] != k.size[b]:
			return int(min(max(k.size[b]-k.size[a], -1), 1))
		}
		return a - b
	})
	n := len(k.order)
	k.ratio = slices.Grow(k.ratio[:0], n+1)[:n+1]
	k.minSize = slices.Grow(k.minSize[:0], n+1)[:n+1]
	k.take = slices.Grow(k.take[:0], n)[:n]
	clear(k.take)
	k.ratio[n], k.minSize[n] = 0, math.MaxInt64
	for i := n - 1; i >= 0; i-- {
		j := k.order[i]
		k.ratio[i] = float64(k.price[j]) / float64(k.size[j])
		k.minSize[i] = min(k.minSize[i+1], k.size[j])
	}
	k.best, k.found, k.nodes, k.maxNodes = floor, k.found[:0], 0, maxNodes
	k.search(0, k.capacity, 0)
	return k.best, k.nodes < maxNodes
}

func (k *knapsack) search(i int, room, value int64) {
	if value > k.best {
		k.best = value
		k.found = append(k.found, slices.Clone(k.take))
	}
	for ; i < len(k.order); i++ {
		if room < k.minSize[i] || float64(value)+float64(room)*k.ratio[i] < float64(k.best)+0.5 {
			return
		}
		j := k.order[i]
		most := min(int64(k.limit[j]), room/k.size[j])
		if most == 0 {
			continue
		}
		if k.nodes++; k.nodes >= k.maxNodes {
			return
		}
		if k.nodes%stopEvery == 0 && k.stopped() {
			k.nodes = k.maxNodes
			return
		}
		for n := most; n > 0; n-- {
			k.take[i] = int32(n)
			k.search(i+1, room-n*k.size[j], value+n*k.price[j])
			if float64(value+(n-1)*k.price[j])+float64(room-(n-1)*k.size[j])*k.ratio[i+1] < float64(k.best)+0.5 {
				k.take[i] = 0
				return
			}
		}
		k.take[i] = 0
	}
}

// column turns a found filling into a column.
func (k *knapsack) column(take []int32) column {
	var c column
	var rows []int
	for i, n := range take {
		if n > 0 {
			rows = append(rows, i)
		}
	}
	slices.SortFunc(rows, func(a, b int) int { return k.order[a] - k.order[b] })
	for _, i := range rows {
		c.rows = append(c.rows, int32(k.order[i]))
		c.n = append(c.n, take[i])
	}
	return c
}
