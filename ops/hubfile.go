package ops

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

var (
	splitName = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})$`)
	quantName = regexp.MustCompile(`(?i)(?:^|[-._/])((?:UD-)?(?:(?:IQ|TQ|Q)\d(?:_[A-Z0-9]+)*|MXFP4(?:_MOE)?|NVFP4|BF16|FP16|F16|F32))(?:[-._/]|$)`)
)

// SplitName takes the name of a part of a split model, as
// gguf-split gives it (NAME-00001-of-00003.gguf), apart. For any other name
// parts is 0.
func SplitName(file string) (name string, part, parts int) {
	m := splitName.FindStringSubmatch(WithoutGGUF(file))
	if m == nil {
		return WithoutGGUF(file), 0, 0
	}
	part, _ = strconv.Atoi(m[2])  // five digits
	parts, _ = strconv.Atoi(m[3]) // five digits
	return m[1], part, parts
}

// WithoutGGUF is a file's name without .gguf at its end.
func WithoutGGUF(file string) string {
	if strings.EqualFold(path.Ext(file), ".gguf") {
		return file[:len(file)-len(".gguf")]
	}
	return file
}

// QuantizationOf is the quantisation that a file's path names, in its last place and
// in capitals, or "". What the file holds may be called otherwise: in a Q4_K_M of which
// rows do not divide by 256, most tensors are Q5_0.
func QuantizationOf(file string) string {
	name, _, _ := SplitName(file)
	quant := ""
	for {
		m := quantName.FindStringSubmatchIndex(name)
		if m == nil {
			return strings.ToUpper(quant)
		}
		quant, name = name[m[2]:m[3]], name[m[3]:]
	}
}

// ComesFrom reports whether m is a model that source means: its own source, or a
// repository of the Hub, alone or with a file or a quantisation as the repository's
// files are named by. A file goes with or without its folder, its part's number and
// .gguf; of one whose name tells no quantisation, what it holds counts.
func (m Model) ComesFrom(source string) bool {
	if source == "" || m.Source == source {
		return source != ""
	}
	if !IsModelReference(source) || !IsModelReference(m.Source) {
		return false
	}
	repo, wanted, _ := strings.Cut(source[len(hubPrefix):], ":")
	there, file, _ := strings.Cut(m.Source[len(hubPrefix):], ":")
	if there != repo || wanted == "" {
		return there == repo
	}
	quant := QuantizationOf(file)
	if quant == "" {
		quant = m.Quantization
	}
	whole, _, _ := SplitName(file)
	asked, _, _ := SplitName(wanted)
	return strings.EqualFold(quant, wanted) || strings.EqualFold(whole, asked) || strings.EqualFold(path.Base(whole), asked)
}
