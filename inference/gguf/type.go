package gguf

import (
	"fmt"
	"strings"
)

// Type is how a tensor's values are stored. The numbers are ggml's (enum
// ggml_type in ggml.h).
type Type uint32

// The types that package kernel computes with.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// layouts says of each type how many values make a block and how many bytes
// that takes. Types that rbee cannot compute with are listed too, so that their
// files can be described.
var layouts = map[Type]struct {
	name          string
	values, bytes uint64
}{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2},
	Q4_0: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20}, 6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24},
	Q8_0: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, Q4_K: {"Q4_K", 256, 144}, Q5_K: {"Q5_K", 256, 176},
	Q6_K: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292},
	16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74}, 18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50},
	20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110}, 22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136},
	24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4}, 27: {"I64", 1, 8}, 28: {"F64", 1, 8}, 29: {"IQ1_M", 256, 56},
	34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17},
}

// String is ggml's name of the type, as Q8_0.
func (t Type) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// TypeNamed is the type with ggml's name, in capitals or not; ok is false for a
// name that is not known.
func TypeNamed(name string) (t Type, ok bool) {
	for t, l := range layouts {
		if strings.EqualFold(l.name, name) {
			return t, true
		}
	}
	return 0, false
}

// Block returns how many values a block holds and how many bytes it takes; ok
// is false for a type that is not known.
func (t Type) Block() (values, bytes uint64, ok bool) {
	l, ok := layouts[t]
	return l.values, l.bytes, ok
}
