package kernel

import (
	"encoding/binary"
	"math"
)

func rowF32(dst []float32, w []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(w[4*i:]))
	}
}

func rowF16(dst []float32, w []byte) {
	for i := range dst {
		dst[i] = halfToFloat(binary.LittleEndian.Uint16(w[2*i:]))
	}
}

func rowBF16(dst []float32, w []byte) {
	for i := range dst {
		dst[i] = brainToFloat(binary.LittleEndian.Uint16(w[2*i:]))
	}
}

func dotF32(w []byte, v vector) float32 {
	var sums lanes
	for i, x := range v.x {
		sums.add(i, math.Float32frombits(binary.LittleEndian.Uint32(w[4*i:])), x)
	}
	return sums.total()
}

func dotF16(w []byte, v vector) float32 {
	var sums lanes
	for i, x := range v.x {
		sums.add(i, halfToFloat(binary.LittleEndian.Uint16(w[2*i:])), x)
	}
	return sums.total()
}

func dotBF16(w []byte, v vector) float32 {
	var sums lanes
	for i, x := range v.x {
		sums.add(i, brainToFloat(binary.LittleEndian.Uint16(w[2*i:])), x)
	}
	return sums.total()
}

// lanes is eight running sums, value i in sum i modulo 8: a chain an eighth as
// long, and the order in which the assembly adds too.
type lanes [8]float32

func (l *lanes) add(i int, a, b float32) { l[i&7] += a * b }

func (l *lanes) total() float32 {
	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}
