package kernel

// dotFloatsGo is the portable product of two vectors.
func dotFloatsGo(a, b []float32) float32 {
	var sums lanes
	for i, x := range a {
		sums.add(i, x, b[i])
	}
	return sums.total()
}

// addScaledGo is the portable dst += s·x.
func addScaledGo(dst, x []float32, s float32) {
	for i, f := range x {
		dst[i] += s * f
	}
}
