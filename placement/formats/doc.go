// Package formats reads placement problems from files of other programs and of
// public benchmark collections, so that the optimizer can be tried on them:
// Ganeti htools (.data, .util), VPSolver vectors (.vbp), bin packing sets of
// OR-Library (.txt) and ESICUP (.bpp), clusters as a pair of CSV files, the
// machine reassignment challenge of ROADEF 2012, and placement's own text.
package formats
