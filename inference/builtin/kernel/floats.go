package kernel

// dotFloats is the portable product of two vectors.
func dotFloats(a, b []float32) float32 {
	var sums lanes
	for i, x := range a {
		sums.add(i, x, b[i])
	}
	return sums.total()
}

// addScaled is the portable dst += s·x.
func addScaled(dst, x []float32, s float32) {
	for i, f := range x {
		dst[i] += s * f
	}
}

// dotBy is dotFloats by a kernel that takes multiples of step values, a power
// of two.
func dotBy(step int, kernel func(a, b *float32, n int) float32) func(a, b []float32) float32 {
	return func(a, b []float32) float32 {
		whole := len(a) &^ (step - 1)
		if whole == 0 {
			return dotFloats(a, b)
		}
		sum := kernel(&a[0], &b[0], whole)
		for i := whole; i < len(a); i++ {
			sum += a[i] * b[i]
		}
		return sum
	}
}

// addScaledBy is addScaled by a kernel that takes multiples of step values, a
// power of two.
func addScaledBy(step int, kernel func(dst, x *float32, n int, s float32)) func(dst, x []float32, s float32) {
	return func(dst, x []float32, s float32) {
		whole := len(x) &^ (step - 1)
		if whole > 0 {
			kernel(&dst[0], &x[0], whole, s)
		}
		if whole < len(x) {
			addScaled(dst[whole:], x[whole:], s)
		}
	}
}
