package kernel

import "encoding/binary"

// The formats with blocks of 256 (ggml-common.h).
//
// Q4_K: scale d and minimum m in half precision, 12 bytes with eight 6-bit
// scales and minima, 128 bytes of 4-bit values. A value is
// d·scale·q - m·minimum of its 32.
// Q5_K: the same with 32 bytes of fifth bits before the 4-bit values.
// Q6_K: 128 bytes of low 4 bits, 64 of high 2 bits, 16 int8 scales for 16
// values each, and d. A value is d·scale·(q-32).
//
// A product is whole numbers within a block, and then one float32 sum from the
// first block to the last. Every form does it so, none with fused operations
// (hence the conversions below), and all give the same number.

const (
	bytesQ4K = 144
	bytesQ5K = 176
	bytesQ6K = 210
)

// scalesMinima unpacks the 6-bit scales and minima of eight groups, a byte
// each, the first group's lowest.
func scalesMinima(packed []byte) (scales, minima uint64) {
	a, b, c := binary.LittleEndian.Uint32(packed), binary.LittleEndian.Uint32(packed[4:]), binary.LittleEndian.Uint32(packed[8:])
	const six, four, two = 0x3f3f3f3f, 0x0f0f0f0f, 0x30303030
	scales = uint64(a&six) | uint64(c&four|a>>2&two)<<32
	minima = uint64(b&six) | uint64(c>>4&four|b>>2&two)<<32
	return scales, minima
}

// scaleMin is the scale and the minimum of group j.
func scaleMin(scales, minima uint64, j int) (scale, minimum int32) {
	return int32(scales >> (8 * j) & 63), int32(minima >> (8 * j) & 63) //nolint:gosec // 6 bits
}

func halves(b []byte) (d, m float32) {
	return halfToFloat(binary.LittleEndian.Uint16(b)), halfToFloat(binary.LittleEndian.Uint16(b[2:]))
}

// unpackQ4K writes the 256 values of a block, 0 to 15. Each 32 bytes hold 32
// values in their low halves and the next 32 in their high halves.
func unpackQ4K(q *[largeBlock]int8, block []byte) {
	for i, b := range block[16:bytesQ4K] {
		at := i/32*64 + i%32
		q[at], q[at+32] = int8(b&15), int8(b>>4) //nolint:gosec // at most 15
	}
}

// unpackQ5K writes the 256 values of a block, 0 to 31. Bit g of byte i of the
// fifth bits belongs to value i of group g.
func unpackQ5K(q *[largeBlock]int8, block []byte) {
	fifth := block[16:48]
	for i, b := range block[48:bytesQ5K] {
		group, at := i/32*2, i%32
		q[group*32+at] = int8(b&15 | fifth[at]>>group&1<<4)         //nolint:gosec // at most 31
		q[(group+1)*32+at] = int8(b>>4 | fifth[at]>>(group+1)&1<<4) //nolint:gosec // at most 31
	}
}

// unpackQ6K writes the 256 values of a block, -32 to 31.
func unpackQ6K(q *[largeBlock]int8, block []byte) {
	for half := range 2 {
		low, high := block[half*64:half*64+64], block[128+half*32:128+half*32+32]
		out := q[half*128 : half*128+128]
		for i := range 32 {
			h := high[i]
			out[i] = int8(low[i]&15|h&3<<4) - 32          //nolint:gosec // at most 63
			out[i+32] = int8(low[i+32]&15|h>>2&3<<4) - 32 //nolint:gosec // at most 63
			out[i+64] = int8(low[i]>>4|h>>4&3<<4) - 32    //nolint:gosec // at most 63
			out[i+96] = int8(low[i+32]>>4|h>>6&3<<4) - 32 //nolint:gosec // at most 63
		}
	}
}

func rowQ4K(dst []float32, w []byte) { rowMin(dst, w, bytesQ4K, unpackQ4K) }

func rowQ5K(dst []float32, w []byte) { rowMin(dst, w, bytesQ5K, unpackQ5K) }

func rowMin(dst []float32, w []byte, size int, unpack func(*[largeBlock]int8, []byte)) {
	var q [largeBlock]int8
	for b := range len(dst) / largeBlock {
		block := w[b*size : (b+1)*size]
		unpack(&q, block)
		d, m := halves(block)
		scales, minima := scalesMinima(block[4:16])
		for i, x := range q {
			scale, minimum := scaleMin(scales, minima, i/32)
			dst[b*largeBlock+i] = d*float32(scale)*float32(x) - m*float32(minimum)
		}
	}
}

func rowQ6K(dst []float32, w []byte) {
	var q [largeBlock]int8
	for b := range len(dst) / largeBlock {
		block := w[b*bytesQ6K : (b+1)*bytesQ6K]
		unpackQ6K(&q, block)
		d := halfToFloat(binary.LittleEndian.Uint16(block[208:]))
		for i, x := range q {
			dst[b*largeBlock+i] = d * float32(int8(block[192+i/16])) * float32(x) //nolint:gosec // the bits are the number's
		}
	}
}

func dotQ4K(w []byte, v vector) float32 { return dotMin(w, v, bytesQ4K, unpackQ4K) }

func dotQ5K(w []byte, v vector) float32 { return dotMin(w, v, bytesQ5K, unpackQ5K) }

func dotMin(w []byte, v vector, size int, unpack func(*[largeBlock]int8, []byte)) float32 {
	var q [largeBlock]int8
	var total float32
	for b, dv := range v.d {
		block := w[b*size : (b+1)*size]
		unpack(&q, block)
		d, m := halves(block)
		x := v.q[b*largeBlock : (b+1)*largeBlock]
		scales, minima := scalesMinima(block[4:16])
		var sum, less int32
		for j := range 8 {
			scale, minimum := scaleMin(scales, minima, j)
			sum += scale * dotBytes(q[j*32:j*32+32], x[j*32:j*32+32])
			less += minimum * int32(v.sums[b*8+j])
		}
		total += float32(dv*d*float32(sum)) - float32(dv*m*float32(less))
	}
	return total
}

func dotQ6K(w []byte, v vector) float32 {
	var q [largeBlock]int8
	var total float32
	for b, dv := range v.d {
		block := w[b*bytesQ6K : (b+1)*bytesQ6K]
		unpackQ6K(&q, block)
		x := v.q[b*largeBlock : (b+1)*largeBlock]
		var sum int32
		for j := range 16 {
			sum += int32(int8(block[192+j])) * dotBytes(q[j*16:j*16+16], x[j*16:j*16+16]) //nolint:gosec // the bits are the number's
		}
		total += float32(dv * halfToFloat(binary.LittleEndian.Uint16(block[208:])) * float32(sum))
	}
	return total
}

func dotBytes(a, b []int8) int32 {
	var sum int32
	for i, x := range a {
		sum += int32(x) * int32(b[i])
	}
	return sum
}
