package gguf

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Tensor is where one tensor lies and what it is.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []uint64 // the length of a row first
	Offset uint64   // of its data in the file
	Size   uint64   // of its data, in bytes
	part   int      // of a split model, counted from 0
}

// Elements is how many values the tensor holds.
func (t Tensor) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// File is an open model file.
type File struct {
	Version uint32

	data    []byte
	unmap   func() error
	meta    map[string]any
	tensors []Tensor
	byName  map[string]int
	further []*File // the other parts of a split model
}

// Error says what is wrong with a file.
type Error struct {
	Offset uint64 // where in the file, in bytes
	What   string // the key, tensor or part that is wrong
	Why    string
}

// Error is a sentence that names part, reason and place.
func (e *Error) Error() string {
	return fmt.Sprintf("not a usable GGUF file: %s %s (at byte %d)", e.What, e.Why, e.Offset)
}

// Close gives the mapping up. Nothing that the file handed out may be used
// afterwards.
func (f *File) Close() error {
	var errs []error
	for _, part := range f.further {
		errs = append(errs, part.Close())
	}
	if f.unmap == nil {
		return errors.Join(errs...)
	}
	unmap := f.unmap
	f.unmap, f.data = nil, nil
	return errors.Join(append(errs, unmap())...)
}

// Tensors lists the tensors in the file's order, those of a split model's parts one
// after the other.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor returns the tensor called name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Data is the tensor's data as it lies in the file; it must not be written to.
func (f *File) Data(t Tensor) []byte {
	data := f.data
	if t.part > 0 {
		data = f.further[t.part-1].data
	}
	return data[t.Offset : t.Offset+t.Size : t.Offset+t.Size]
}

// Keys lists the metadata's keys, sorted.
func (f *File) Keys() []string { return slices.Sorted(maps.Keys(f.meta)) }

// String returns a text.
func (f *File) String(key string) (string, bool) { return value[string](f, key) }

// Bool returns a truth value.
func (f *File) Bool(key string) (bool, bool) { return value[bool](f, key) }

// Strings returns a list of texts.
func (f *File) Strings(key string) ([]string, bool) { return value[[]string](f, key) }

func value[T any](f *File, key string) (T, bool) {
	v, ok := f.meta[key].(T)
	return v, ok
}

// Len returns how many values a list has.
func (f *File) Len(key string) (int, bool) {
	switch v := f.meta[key].(type) {
	case []string:
		return len(v), true
	case numbers:
		return v.count, true
	case length:
		return int(v), true
	}
	return 0, false
}

// Uint returns a whole number of any width that is not negative.
func (f *File) Uint(key string) (uint64, bool) {
	switch v := f.meta[key].(type) {
	case uint64:
		return v, true
	case int64:
		return uint64(v), v >= 0 //nolint:gosec // only used when it is not negative
	}
	return 0, false
}

// Float returns a number of any kind.
func (f *File) Float(key string) (float64, bool) {
	switch v := f.meta[key].(type) {
	case float64:
		return v, true
	case uint64:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// Floats returns a list of numbers.
func (f *File) Floats(key string) ([]float32, bool) {
	list, ok := f.meta[key].(numbers)
	if !ok {
		return nil, false
	}
	return each(list, func(v any) (float32, bool) {
		switch v := v.(type) {
		case float64:
			return float32(v), true
		case uint64:
			return float32(v), true
		case int64:
			return float32(v), true
		}
		return 0, false
	})
}

// Ints returns a list of whole numbers that fit into 32 bits.
func (f *File) Ints(key string) ([]int32, bool) {
	list, ok := f.meta[key].(numbers)
	if !ok {
		return nil, false
	}
	return each(list, func(v any) (int32, bool) {
		switch v := v.(type) {
		case uint64:
			return int32(v), v <= math.MaxInt32 //nolint:gosec // only used when it fits
		case int64:
			return int32(v), v >= math.MinInt32 && v <= math.MaxInt32 //nolint:gosec // only used when it fits
		}
		return 0, false
	})
}

// Bools returns a list of truth values.
func (f *File) Bools(key string) ([]bool, bool) {
	list, ok := f.meta[key].(numbers)
	if !ok {
		return nil, false
	}
	return each(list, func(v any) (bool, bool) {
		b, ok := v.(bool)
		return b, ok
	})
}

func each[T any](list numbers, convert func(any) (T, bool)) ([]T, bool) {
	out := make([]T, list.count)
	for i := range out {
		v, ok := convert(list.at(i))
		if !ok {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

// Architecture names the kind of model, as llama; "" when the file does not.
func (f *File) Architecture() string {
	s, _ := f.String("general.architecture")
	return s
}

// Quantization names the type that holds most of the weights, as Q8_0.
func (f *File) Quantization() string {
	bytes := map[Type]uint64{}
	var most Type
	for _, t := range f.tensors {
		bytes[t.Type] += t.Size
		if bytes[t.Type] > bytes[most] {
			most = t.Type
		}
	}
	if len(f.tensors) == 0 {
		return ""
	}
	return most.String()
}

// Parameters counts the weights.
func (f *File) Parameters() uint64 {
	var n uint64
	for _, t := range f.tensors {
		n += t.Elements()
	}
	return n
}
