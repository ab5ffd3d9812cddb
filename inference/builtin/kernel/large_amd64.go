package kernel

import (
	"sync"

	"rbee.dev/rbee/inference/gguf"
)

//go:noescape
func q4kRowsAVX2(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)

//go:noescape
func q5kRowsAVX2(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)

//go:noescape
func q6kRowsAVX2(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)

// largeRows sets the kernel for one vector of a type with blocks of 256.
func largeRows(f *format, rows func(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)) {
	f.rows = func(out []float32, w []byte, v vector) {
		rows(&out[0], &w[0], len(out), &v.q[0], &v.d[0], &v.sums[0], len(v.d))
	}
}

// Several vectors with blocks of 256: a few rows are unpacked once, to 16-bit
// values that have their scales in them, and meet four vectors at a time. The
// tile stays in the second cache, the vectors' part (8 KB) in the nearest.

const (
	tileRows   = 32
	tileBlocks = 4 // of a row
)

// largeTile is some blocks of some rows, unpacked. The assembly knows its form.
type largeTile struct {
	q       [tileRows][tileBlocks][largeBlock]int16
	headers [tileRows][tileBlocks]largeHeader
}

// largeHeader is what a block has beside its values.
type largeHeader struct {
	minima [8]int16 //nolint:unused // only the assembly reads and writes them
	d, m   float32  //nolint:unused // as above
	_      [8]byte
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
func spreadQ4K(q *int16, headers *largeHeader, w *byte, blocks int)

//go:noescape
func spreadQ5K(q *int16, headers *largeHeader, w *byte, blocks int)

//go:noescape
func spreadQ6K(q *int16, headers *largeHeader, w *byte, blocks int)

//go:noescape
func multiplyTileAVX2(tile *largeTile, group *largeGroup, rows, blocks int)

//go:noescape
func multiplyTileVNNI(tile *largeTile, group *largeGroup, rows, blocks int)

// largeBatch is how batches are computed with a type with blocks of 256.
type largeBatch struct {
	spread   func(q *int16, headers *largeHeader, w *byte, blocks int)
	multiply func(tile *largeTile, group *largeGroup, rows, blocks int)
	scratch  *sync.Pool // of largeScratch
}

type largeScratch struct {
	tile  largeTile
	group largeGroup
}

func applyLargeBatch(table map[gguf.Type]*format, multiply func(tile *largeTile, group *largeGroup, rows, blocks int)) {
	scratch := &sync.Pool{New: func() any { return new(largeScratch) }}
	table[gguf.Q4_K].batch = largeBatch{spreadQ4K, multiply, scratch}.all
	table[gguf.Q5_K].batch = largeBatch{spreadQ5K, multiply, scratch}.all
	table[gguf.Q6_K].batch = largeBatch{spreadQ6K, multiply, scratch}.all
	for _, kind := range []gguf.Type{gguf.Q4_K, gguf.Q5_K, gguf.Q6_K} {
		table[kind].tile = tileRows
	}
}

// all is a format's batch, of at most tileRows rows.
func (l largeBatch) all(out []float32, stride, rows int, w []byte, vectors []vector) {
	s := l.scratch.Get().(*largeScratch)
	defer l.scratch.Put(s)
	blocks := len(vectors[0].d)
	size := len(w) / rows / blocks
	for b := 0; b < blocks; b += tileBlocks {
		n := min(tileBlocks, blocks-b)
		for r := range rows {
			l.spread(&s.tile.q[r][0][0], &s.tile.headers[r][0], &w[(r*blocks+b)*size], n)
		}
		for j := 0; j < len(vectors); j += 4 {
			four, to := vectors[j:min(j+4, len(vectors))], out[j*stride:]
			s.group.begin(to, stride, four, rows, b, n)
			l.multiply(&s.tile, &s.group, rows, n)
			s.group.end(to, stride, len(four), rows)
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
	clear(g.totals[:rows])
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
