package kernel

import (
	"encoding/binary"

	"rbee.dev/rbee/inference/gguf"
)

// Several vectors with blocks of 256: a few rows are unpacked once, to 16-bit
// values that have their scales in them, and meet four vectors at a time.

const (
	tileRows   = 8
	tileBlocks = 4 // of a row; with the four vectors that makes 24 KB, for the nearest cache
)

// largeTile is some blocks of some rows, unpacked. The assembly knows its form.
type largeTile struct {
	q       [tileRows][tileBlocks][largeBlock]int16
	headers [tileRows][tileBlocks]struct {
		minima [8]int16
		d, m   float32
		_      [8]byte
	}
}

// largeGroup is four vectors' part of a product with a tile, and what the rows
// have come to with them so far. The assembly knows its form.
type largeGroup struct {
	q      [4]*int16
	d      [tileBlocks][4]float32
	sums   [tileBlocks][4][8]int16
	totals [tileRows][4]float32
}

//go:noescape
func spreadQ4K(dst *int16, q *byte, scales *int16)

//go:noescape
func spreadQ5K(dst *int16, q, fifth *byte, scales *int16)

//go:noescape
func spreadQ6K(dst *int16, low, high *byte, scales *int16)

//go:noescape
func multiplyTileAVX2(tile *largeTile, group *largeGroup, rows, blocks int)

//go:noescape
func multiplyTileVNNI(tile *largeTile, group *largeGroup, rows, blocks int)

func applyLargeBatch(table map[gguf.Type]*format, vnni bool) {
	for _, kind := range []gguf.Type{gguf.Q4_K, gguf.Q5_K, gguf.Q6_K} {
		table[kind].batch = largeBatch{kind, vnni}.multiply
	}
}

// largeBatch is a type with blocks of 256, and whether there is VNNI for it.
// (With functions in their place, tiles could not be on the stack.)
type largeBatch struct {
	kind gguf.Type
	vnni bool
}

// multiply is a format's batch.
func (l largeBatch) multiply(out []float32, stride, rows int, w []byte, vectors []vector) {
	var t largeTile
	var g largeGroup
	size, blocks := len(w)/rows, len(vectors[0].d)
	blockSize := size / blocks
	for r := 0; r < rows; r += tileRows {
		part := min(tileRows, rows-r)
		for b := 0; b < blocks; b += tileBlocks {
			n := min(tileBlocks, blocks-b)
			for i := range part {
				for at := range n {
					from := (r+i)*size + (b+at)*blockSize
					t.put(l.kind, i, at, w[from:from+blockSize])
				}
			}
			for j := 0; j < len(vectors); j += 4 {
				four := vectors[j:min(j+4, len(vectors))]
				g.begin(out[j*stride+r:], stride, four, part, b, n)
				if l.vnni {
					multiplyTileVNNI(&t, &g, part, n)
				} else {
					multiplyTileAVX2(&t, &g, part, n)
				}
				g.end(out[j*stride+r:], stride, len(four), part)
			}
		}
	}
}

// begin makes ready for up to four vectors to meet a tile of n blocks from block
// b on. Out is what rows before these blocks have come to.
func (g *largeGroup) begin(out []float32, stride int, vectors []vector, rows, b, n int) {
	for c := range 4 {
		v := vectors[min(c, len(vectors)-1)]
		g.q[c] = &v.wide[b*largeBlock]
		for at := range n {
			g.d[at][c] = v.d[b+at]
			g.sums[at][c] = [8]int16(v.sums[(b+at)*8:])
		}
	}
	g.totals = [tileRows][4]float32{}
	if b == 0 {
		return
	}
	for c := range vectors {
		for r, x := range out[c*stride : c*stride+rows] {
			g.totals[r][c] = x
		}
	}
}

// end writes what the rows have come to.
func (g *largeGroup) end(out []float32, stride, vectors, rows int) {
	for c := range vectors {
		for r := range rows {
			out[c*stride+r] = g.totals[r][c]
		}
	}
}

// put unpacks a block of a type.
func (t *largeTile) put(kind gguf.Type, row, at int, block []byte) {
	h, q := &t.headers[row][at], &t.q[row][at][0]
	switch kind {
	case gguf.Q4_K:
		scales := t.putMinima(row, at, block)
		spreadQ4K(q, &block[16], &scales[0])
	case gguf.Q5_K:
		scales := t.putMinima(row, at, block)
		spreadQ5K(q, &block[48], &block[16], &scales[0])
	case gguf.Q6_K:
		scales := scales16(block)
		spreadQ6K(q, &block[0], &block[128], &scales[0])
		h.d = halfToFloat(binary.LittleEndian.Uint16(block[208:]))
	}
}

// putMinima fills in a header, and returns the scales.
func (t *largeTile) putMinima(row, at int, block []byte) (scales [8]int16) {
	h := &t.headers[row][at]
	h.d, h.m = halves(block)
	packed, minima := scalesMinima(block[4:16])
	for j := range scales {
		scale, minimum := scaleMin(packed, minima, j)
		scales[j], h.minima[j] = int16(scale), int16(minimum) //nolint:gosec // at most 63
	}
	return scales
}
