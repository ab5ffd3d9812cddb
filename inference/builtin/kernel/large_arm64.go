package kernel

import (
	"encoding/binary"

	"rbee.dev/rbee/inference/gguf"
)

//go:noescape
func dotBlockQ4K(q *byte, x *int8, scales *int16) int32

//go:noescape
func dotBlockQ5K(q, fifth *byte, x *int8, scales *int16) int32

//go:noescape
func dotBlockQ6K(low, high *byte, x *int8, scales *int16) int32

// applyLarge puts the assembly for blocks of 256 into the table.
func applyLarge(table map[gguf.Type]*format) {
	table[gguf.Q4_K].dot = func(w []byte, v vector) float32 { return dotScaled(w, v, bytesQ4K) }
	table[gguf.Q5_K].dot = func(w []byte, v vector) float32 { return dotScaled(w, v, bytesQ5K) }
	table[gguf.Q6_K].dot = dotQ6KFast
}

// dotScaled is dotMin with the sum of a block computed by the assembly.
func dotScaled(w []byte, v vector, size int) float32 {
	var scales [8]int16
	var total float32
	for b, dv := range v.d {
		block := w[b*size : (b+1)*size]
		d, m := halves(block)
		packed, minima := scalesMinima(block[4:16])
		var less, sum int32
		for j := range scales {
			scale, minimum := scaleMin(packed, minima, j)
			scales[j] = int16(scale) //nolint:gosec // at most 63
			less += minimum * int32(v.sums[b*8+j])
		}
		if x := &v.q[b*largeBlock]; size == bytesQ4K {
			sum = dotBlockQ4K(&block[16], x, &scales[0])
		} else {
			sum = dotBlockQ5K(&block[48], &block[16], x, &scales[0])
		}
		total += float32(dv*d*float32(sum)) - float32(dv*m*float32(less))
	}
	return total
}

func dotQ6KFast(w []byte, v vector) float32 {
	var total float32
	for b, dv := range v.d {
		block := w[b*bytesQ6K : (b+1)*bytesQ6K]
		scales := scales16(block)
		sum := dotBlockQ6K(&block[0], &block[128], &v.q[b*largeBlock], &scales[0])
		total += float32(dv * halfToFloat(binary.LittleEndian.Uint16(block[208:])) * float32(sum))
	}
	return total
}

// scales16 is the scales of a block of Q6_K.
func scales16(block []byte) (scales [16]int16) {
	for j := range scales {
		scales[j] = int16(int8(block[192+j])) //nolint:gosec // the bits are the number's
	}
	return scales
}
