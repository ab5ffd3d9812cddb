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
	if v, ok := f.String(key); ok {
		return v
	} else if v, ok := f.Strings(key); ok {
		return v
	} else if v, ok := f.Bool(key); ok {
		return v
	} else if v, ok := f.Uint(key); ok {
		return uint32(v) //nolint:gosec // the tests' models have no larger ones
	} else if v, ok := f.Float(key); ok {
		return float32(v)
	} else if v, ok := f.Ints(key); ok {
		return v
	} else if v, ok := f.Floats(key); ok {
		return v
	}
	return nil
}
