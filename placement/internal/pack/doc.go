// Package pack solves bin packing: items into the fewest bins, in one
// dimension (exactly, as a rule) or in several.
//
// Items of equal size are one row with a count, so the work grows with the
// number of distinct sizes, not of items. In one dimension the lower bound is
// that of the linear program over all fillings of a bin (Gilmore and Gomory,
// 1961), found by column generation and made rigorous by rounding the duals to
// whole numbers; the packing comes from diving in that program, with quick
// greedy fillings at each level.
package pack
