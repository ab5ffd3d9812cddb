package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// The limits of what is believed. Real files stay far below.
const (
	maxKeys      = 1 << 16
	maxTensors   = 1 << 16
	maxKey       = 1<<16 - 1 // bytes, as the specification has it
	maxDims      = 4
	maxAlignment = 1 << 16
)

// The types of metadata values (gguf.md, enum gguf_metadata_value_type).
const (
	kindUint8 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// widths is how many bytes a value of each fixed-size kind takes.
var widths = map[uint32]uint64{
	kindUint8: 1, kindInt8: 1, kindUint16: 2, kindInt16: 2, kindUint32: 4, kindInt32: 4,
	kindFloat32: 4, kindBool: 1, kindUint64: 8, kindInt64: 8, kindFloat64: 8,
}

// numbers is a list of fixed-size values, left as it lies in the file.
type numbers struct {
	kind  uint32
	count int
	data  []byte
}

func (n numbers) at(i int) any {
	w := int(widths[n.kind]) //nolint:gosec // at most 8
	return scalar(n.kind, n.data[i*w:(i+1)*w])
}

// Parse reads a file that is in memory. The File keeps data, which must not
// change.
func Parse(data []byte) (*File, error) {
	p := parser{data: data}
	f := &File{data: data, meta: map[string]any{}, byName: map[string]int{}}
	if err := p.parse(f); err != nil {
		return nil, err
	}
	return f, nil
}

// ParseHead reads what data, the beginning of a file, holds of its metadata. The
// File has no tensors; of a list that goes on beyond data only the length is known
// ([File.Len]).
func ParseHead(data []byte) (*File, error) {
	p := parser{data: data, head: true}
	f := &File{data: data, meta: map[string]any{}, byName: map[string]int{}}
	if err := p.parse(f); err != nil && !p.cut {
		return nil, err
	}
	f.tensors, f.byName = nil, map[string]int{}
	return f, nil
}

// length is how many values a list has that is not there whole.
type length int

// parser walks over the head of a file. After the first error it stays where
// it is and reads zeros.
type parser struct {
	data []byte
	at   uint64
	what string // what is being read, for the error
	err  error
	head bool // data is only the file's beginning
	cut  bool // and ends where more was to be read
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &Error{Offset: p.at, What: p.what, Why: fmt.Sprintf(format, args...)}
	}
}

// take returns the next n bytes, or nil when they are not there.
func (p *parser) take(n uint64) []byte {
	if p.err == nil && n > uint64(len(p.data))-p.at {
		p.cut = p.head
		p.fail("needs %d bytes, and the file has %d more", n, uint64(len(p.data))-p.at)
	}
	if p.err != nil {
		return nil
	}
	b := p.data[p.at : p.at+n]
	p.at += n
	return b
}

func (p *parser) uint32() uint32 {
	if b := p.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (p *parser) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (p *parser) text() string { return string(p.take(p.uint64())) }

func (p *parser) parse(f *File) error {
	p.what = "the head"
	if magic := p.take(4); p.err == nil && string(magic) != "GGUF" {
		p.at = 0
		p.fail("begins with %q, not with \"GGUF\"", magic)
	}
	f.Version = p.uint32()
	switch turned := bits.ReverseBytes32(f.Version); {
	case p.err != nil || f.Version == 2 || f.Version == 3:
	case turned == 2 || turned == 3:
		p.fail("is of a big-endian file, which is not known: take the usual, little-endian one")
	default:
		p.fail("has version %d; 2 and 3 are known", f.Version)
	}
	tensors, keys := p.uint64(), p.uint64()
	switch {
	case p.err != nil:
	case keys > maxKeys:
		p.fail("announces %d metadata entries, more than %d", keys, maxKeys)
	case tensors > maxTensors:
		p.fail("announces %d tensors, more than %d", tensors, maxTensors)
	}
	for i := uint64(0); i < keys && p.err == nil; i++ {
		p.entry(f)
	}
	for i := uint64(0); i < tensors && p.err == nil; i++ {
		p.tensor(f)
	}
	if p.err == nil && !p.head {
		p.place(f)
	}
	return p.err
}

// entry reads one metadata entry.
func (p *parser) entry(f *File) {
	p.what = fmt.Sprintf("metadata entry %d", len(f.meta)+1)
	key := p.text()
	if p.err != nil {
		return
	}
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) {
		p.fail("has a bad key of %d bytes", len(key))
		return
	}
	p.what = fmt.Sprintf("metadata %q", clip(key))
	if _, twice := f.meta[key]; twice {
		p.fail("is there twice")
		return
	}
	value := p.value(p.uint32())
	if _, list := value.(length); !p.cut || list {
		f.meta[key] = value
	}
}

func (p *parser) value(kind uint32) any {
	switch kind {
	case kindString:
		return p.text()
	case kindArray:
		return p.array()
	}
	w, ok := widths[kind]
	if !ok {
		p.fail("has the unknown type %d", kind)
		return nil
	}
	b := p.take(w)
	if b == nil {
		return nil
	}
	return scalar(kind, b)
}

// scalar decodes one fixed-size value: whole numbers to uint64 or int64,
// others to float64 or bool.
func scalar(kind uint32, b []byte) any {
	le := binary.LittleEndian
	switch kind {
	case kindUint8:
		return uint64(b[0])
	case kindInt8:
		return int64(int8(b[0])) //nolint:gosec // the bits are the number's
	case kindUint16:
		return uint64(le.Uint16(b))
	case kindInt16:
		return int64(int16(le.Uint16(b))) //nolint:gosec // the bits are the number's
	case kindUint32:
		return uint64(le.Uint32(b))
	case kindInt32:
		return int64(int32(le.Uint32(b))) //nolint:gosec // the bits are the number's
	case kindFloat32:
		return float64(math.Float32frombits(le.Uint32(b)))
	case kindBool:
		return b[0] != 0
	case kindUint64:
		return le.Uint64(b)
	case kindInt64:
		return int64(le.Uint64(b)) //nolint:gosec // the bits are the number's
	default: // kindFloat64: value has refused all others
		return math.Float64frombits(le.Uint64(b))
	}
}

// array reads a list: texts are made now, numbers stay in the file.
func (p *parser) array() any {
	kind, count := p.uint32(), p.uint64()
	if p.err != nil {
		return nil
	}
	if kind == kindString {
		if count > (uint64(len(p.data))-p.at)/8 { // each takes 8 bytes at least
			return p.more(count, "announces %d texts, more than the file can hold")
		}
		list := make([]string, 0, count)
		for i := uint64(0); i < count && p.err == nil; i++ {
			list = append(list, p.text())
		}
		if p.cut {
			return length(count) //nolint:gosec // bounded by the data
		}
		return list
	}
	w, ok := widths[kind]
	if !ok {
		p.fail("is a list of the type %d, which is not known in lists", kind)
		return nil
	}
	hi, size := bits.Mul64(count, w)
	if hi != 0 || size > uint64(len(p.data))-p.at {
		return p.more(count, "announces %d values, more than the file can hold")
	}
	return numbers{kind: kind, count: int(count), data: p.take(size)} //nolint:gosec // fits: the data is in memory
}

// more is a list of count values that is longer than the data: of a file's
// beginning its length is known, of a file it is the error format.
func (p *parser) more(count uint64, format string) any {
	p.cut = p.head
	p.fail(format, count)
	if p.cut {
		return length(min(count, math.MaxInt32)) //nolint:gosec // bounded
	}
	return nil
}

// tensor reads one tensor's description; its offset is still relative.
func (p *parser) tensor(f *File) {
	p.what = fmt.Sprintf("tensor %d", len(f.tensors)+1)
	t := Tensor{Name: p.text()}
	p.what = fmt.Sprintf("tensor %q", clip(t.Name))
	if _, twice := f.byName[t.Name]; twice {
		p.fail("is there twice")
	}
	dims := p.uint32()
	if p.err == nil && (dims == 0 || dims > maxDims) {
		p.fail("has %d dimensions; 1 to %d are known", dims, maxDims)
	}
	for i := uint32(0); i < dims && p.err == nil; i++ {
		t.Shape = append(t.Shape, p.uint64())
	}
	t.Type, t.Offset = Type(p.uint32()), p.uint64()
	if p.err == nil {
		t.Size = p.size(t)
	}
	f.byName[t.Name] = len(f.tensors)
	f.tensors = append(f.tensors, t)
}

// size is how many bytes the tensor's data takes.
func (p *parser) size(t Tensor) uint64 {
	values, bytes, ok := t.Type.Block()
	if !ok {
		p.fail("has the unknown type %d", uint32(t.Type))
		return 0
	}
	if t.Shape[0]%values != 0 {
		p.fail("has rows of %d values, which %s cannot hold: it takes multiples of %d", t.Shape[0], t.Type, values)
		return 0
	}
	n := uint64(1)
	for _, d := range t.Shape {
		hi, lo := bits.Mul64(n, d)
		if d == 0 || hi != 0 || lo > math.MaxInt64 {
			p.fail("has the impossible shape %v", t.Shape)
			return 0
		}
		n = lo
	}
	hi, size := bits.Mul64(n/values, bytes)
	if hi != 0 {
		p.fail("has the impossible shape %v", t.Shape)
	}
	return size
}

// place turns the tensors' offsets, which count from the end of the head, into
// ones from the file's beginning, and checks that the data is there.
func (p *parser) place(f *File) {
	p.what = "general.alignment"
	alignment := uint64(32)
	if _, ok := f.meta[p.what]; ok {
		given, ok := f.Uint(p.what)
		if !ok || given == 0 || given > maxAlignment || given&(given-1) != 0 {
			p.fail("must be a power of two up to %d", maxAlignment)
			return
		}
		alignment = given
	}
	if len(f.tensors) == 0 {
		return
	}
	p.what = "the tensors' data"
	start := (p.at + alignment - 1) / alignment * alignment
	length := uint64(len(p.data))
	for i := range f.tensors {
		t := &f.tensors[i]
		p.what = fmt.Sprintf("tensor %q", clip(t.Name))
		if t.Offset%alignment != 0 {
			p.fail("lies at %d, which is no multiple of the alignment %d", t.Offset, alignment)
			return
		}
		offset, carry := bits.Add64(start, t.Offset, 0)
		if carry != 0 || offset > length || t.Size > length-offset {
			p.fail("reaches beyond the file's end: %d bytes from byte %d of %d", t.Size, offset, length)
			return
		}
		t.Offset = offset
	}
}

// clip keeps an error readable when a name is not.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
