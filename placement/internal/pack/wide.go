package pack

import "math/bits"

// addProduct adds a*b to the 128-bit number hi:lo.
func addProduct(hi, lo, a, b uint64) (uint64, uint64) {
	h, l := bits.Mul64(a, b)
	lo, carry := bits.Add64(lo, l, 0)
	hi, _ = bits.Add64(hi, h, carry)
	return hi, lo
}

// ceilDiv divides hi:lo by d, rounding up; hi must be less than d.
func ceilDiv(hi, lo, d uint64) int64 {
	q, r := bits.Div64(hi, lo, d)
	if r > 0 {
		q++
	}
	return int64(q)
}
