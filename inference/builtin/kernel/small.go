package kernel

import "encoding/binary"

// The formats with blocks of 32: Q8_0 is a half-precision scale and 32 int8;
// Q4_0 a scale and 32 values of 4 bits less 8, of which byte i holds value i in
// its low half and value i+16 in its high half (ggml-common.h).

const (
	bytesQ8 = 34
	bytesQ4 = 18
)

func rowQ8(dst []float32, w []byte) {
	for b := range len(dst) / smallBlock {
		block := w[b*bytesQ8 : (b+1)*bytesQ8]
		d := halfToFloat(binary.LittleEndian.Uint16(block))
		for i, q := range block[2:] {
			dst[b*smallBlock+i] = d * float32(int8(q)) //nolint:gosec // the bits are the number's
		}
	}
}

func dotQ8(w []byte, v vector) float32 {
	var total float32
	for b, d := range v.d {
		block := w[b*bytesQ8 : (b+1)*bytesQ8]
		q := v.q[b*smallBlock : (b+1)*smallBlock]
		var sum int32
		for i, x := range q {
			sum += int32(int8(block[2+i])) * int32(x) //nolint:gosec // the bits are the number's
		}
		total += float32(sum) * (halfToFloat(binary.LittleEndian.Uint16(block)) * d)
	}
	return total
}

func rowQ4(dst []float32, w []byte) {
	for b := range len(dst) / smallBlock {
		block := w[b*bytesQ4 : (b+1)*bytesQ4]
		d := halfToFloat(binary.LittleEndian.Uint16(block))
		for i, q := range block[2:] {
			dst[b*smallBlock+i] = d * float32(int(q&15)-8)
			dst[b*smallBlock+i+16] = d * float32(int(q>>4)-8)
		}
	}
}

func dotQ4(w []byte, v vector) float32 {
	var total float32
	for b, d := range v.d {
		block := w[b*bytesQ4 : (b+1)*bytesQ4]
		q := v.q[b*smallBlock : (b+1)*smallBlock]
		var sum int32
		for i, x := range block[2:] {
			sum += (int32(x&15)-8)*int32(q[i]) + (int32(x>>4)-8)*int32(q[i+16])
		}
		total += float32(sum) * (halfToFloat(binary.LittleEndian.Uint16(block)) * d)
	}
	return total
}
