// Package gguftest writes GGUF files for tests: any metadata and tensors, and
// whole models with random weights that real engines load. What it writes is
// valid, unless a test damages it afterwards.
package gguftest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"rbee.dev/rbee/inference/gguf"
)

// Builder collects a file's parts. The zero value is an empty file.
type Builder struct {
	keys    int
	meta    bytes.Buffer
	tensors []tensor
}

type tensor struct {
	name  string
	kind  gguf.Type
	shape []uint64
	data  []byte
}

// Set adds a metadata entry: a string, bool, uint16, uint32, uint64, int32, float32, or a
// slice of strings, float32, int32 or bool.
func (b *Builder) Set(key string, value any) {
	b.keys++
	b.text(&b.meta, key)
	switch v := value.(type) {
	case string:
		b.put(uint32(8))
		b.text(&b.meta, v)
	case bool:
		b.put(uint32(7), v)
	case uint16:
		b.put(uint32(2), v)
	case uint32:
		b.put(uint32(4), v)
	case uint64:
		b.put(uint32(10), v)
	case int32:
		b.put(uint32(5), v)
	case float32:
		b.put(uint32(6), v)
	case []string:
		b.put(uint32(9), uint32(8), uint64(len(v)))
		for _, s := range v {
			b.text(&b.meta, s)
		}
	case []float32:
		b.put(uint32(9), uint32(6), uint64(len(v)), v)
	case []int32:
		b.put(uint32(9), uint32(5), uint64(len(v)), v)
	case []bool:
		b.put(uint32(9), uint32(7), uint64(len(v)), v)
	default:
		panic(fmt.Sprintf("gguftest: no metadata of type %T", value))
	}
}

func (b *Builder) put(values ...any) {
	for _, v := range values {
		put(&b.meta, v)
	}
}

func (b *Builder) text(w *bytes.Buffer, s string) {
	put(w, uint64(len(s)))
	w.WriteString(s)
}

func put(w *bytes.Buffer, v any) {
	if err := binary.Write(w, binary.LittleEndian, v); err != nil {
		panic(err) // a buffer takes everything that has a fixed size
	}
}

// Add adds a tensor whose data is encoded already. The length of a row comes
// first in shape.
func (b *Builder) Add(name string, kind gguf.Type, data []byte, shape ...uint64) {
	b.tensors = append(b.tensors, tensor{name, kind, shape, data})
}

// AddF32 adds a tensor of float32.
func (b *Builder) AddF32(name string, values []float32, shape ...uint64) {
	data := make([]byte, 4*len(values))
	for i, f := range values {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(f))
	}
	b.Add(name, gguf.F32, data, shape...)
}

const alignment = 32

// Bytes is the file, of version 3.
func (b *Builder) Bytes() []byte {
	var head, body bytes.Buffer
	head.WriteString("GGUF")
	put(&head, uint32(3))
	put(&head, uint64(len(b.tensors)))
	put(&head, uint64(b.keys)) //nolint:gosec // a count
	head.Write(b.meta.Bytes())
	for _, t := range b.tensors {
		pad(&body)
		b.text(&head, t.name)
		put(&head, uint32(len(t.shape))) //nolint:gosec // a few
		put(&head, t.shape)
		put(&head, uint32(t.kind))
		put(&head, uint64(body.Len())) //nolint:gosec // a length
		body.Write(t.data)
	}
	pad(&head)
	pad(&body)
	return append(head.Bytes(), body.Bytes()...)
}

func pad(b *bytes.Buffer) {
	for b.Len()%alignment != 0 {
		b.WriteByte(0)
	}
}
