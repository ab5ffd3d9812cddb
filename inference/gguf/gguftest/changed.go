package gguftest

import "rbee.dev/rbee/inference/gguf"

// Changed is a copy of a GGUF file with other metadata: values are set where they
// are not nil, and dropped where they are. A file that cannot be read is a
// mistake of the test's, and panics.
func Changed(file []byte, values map[string]any) []byte {
	f, err := gguf.Parse(file)
	if err != nil {
		panic(err)
	}
	var b Builder
	for _, key := range f.Keys() {
		if _, other := values[key]; other {
			continue
		}
		if v := value(f, key); v != nil {
			b.Set(key, v)
		}
	}
	for key, v := range values {
		if v != nil {
			b.Set(key, v)
		}
	}
	for _, tensor := range f.Tensors() {
		b.Add(tensor.Name, tensor.Type, f.Data(tensor), tensor.Shape...)
	}
	return b.Bytes()
}

// value is a metadata value, of the type that it has in a file; nil for one of a
// type that no test needs.
func value(f *gguf.File, key string) any {
	if n, ok := f.Uint(key); ok {
		return uint32(n) //nolint:gosec // the tests' models have no larger ones
	}
	if n, ok := f.Float(key); ok {
		return float32(n)
	}
	for _, v := range []any{
		got(f.String(key)), got(f.Strings(key)), got(f.Bool(key)), got(f.Ints(key)), got(f.Floats(key)),
	} {
		if v != nil {
			return v
		}
	}
	return nil
}

// got is a value that is there, or nil.
func got[V any](v V, ok bool) any {
	if !ok {
		return nil
	}
	return v
}
