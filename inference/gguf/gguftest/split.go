package gguftest

import "rbee.dev/rbee/inference/gguf"

// Split is a GGUF file in n parts, as gguf-split of llama.cpp divides it: the first
// has all metadata, and each about as many tensors as the others. A file that cannot
// be read is a mistake of the test's, and panics.
func Split(file []byte, n int) [][]byte {
	f, err := gguf.Parse(file)
	if err != nil {
		panic(err)
	}
	tensors, each := f.Tensors(), (len(f.Tensors())+n-1)/n
	var parts [][]byte
	for i := range n {
		var b Builder
		if i == 0 {
			for _, key := range f.Keys() {
				if v := value(f, key); v != nil {
					b.Set(key, v)
				}
			}
		}
		b.Set("split.no", uint16(i))    //nolint:gosec // a few
		b.Set("split.count", uint16(n)) //nolint:gosec // a few
		b.Set("split.tensors.count", int32(len(tensors)))
		for _, t := range tensors[min(i*each, len(tensors)):min((i+1)*each, len(tensors))] {
			b.Add(t.Name, t.Type, f.Data(t), t.Shape...)
		}
		parts = append(parts, b.Bytes())
	}
	return parts
}
