package fetch

import (
	"cmp"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// usual is the quantisation that is taken where nothing speaks against it: the
// smallest whose answers are hardly worse than the whole weights'.
const usual = "Q4_K_M"

// class is quantisations of about one size.
type class struct {
	bits  string   // a character for each of them, as [bits] gives it
	why   string   // one of them is taken, where there is none of the classes before
	order []string // the best first; the others come after, the biggest first
}

// classes is quantisations from the usual one away: first those that are better and
// bigger, then those that are smaller and worse, and last weights that are not
// quantised, which take a multiple of the memory and are slower for it.
var classes = []class{
	{
		"4", "there is no " + usual + ", and this has as many bits",
		[]string{usual, "UD-Q4_K_XL", "Q4_K_L", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4", "MXFP4_MOE"},
	},
	{"5", whyAbove, []string{"Q5_K_M", "Q5_K_S", "Q5_0"}},
	{"67", whyAbove, []string{"Q6_K"}},
	{"8", whyAbove, []string{"Q8_0"}},
	{"3", whyBelow, nil},
	{"2", whyBelow, nil},
	{"1", whyBelow, nil},
	{"?90", "there is no " + usual + ", and its name tells nothing of its quantisation", nil},
	{"F", "nothing there is quantised, and this is the smallest", []string{"F16", "FP16", "BF16"}},
}

const (
	whyAbove = "there is no " + usual + ", and this is the nearest with more bits"
	whyBelow = "there is nothing of 4 to 8 bits, and this is the best of those with fewer"
)

// bits is how many bits a quantisation has, F for one that is none, or ?.
func bits(quant string) string {
	switch at := strings.IndexAny(quant, "0123456789"); {
	case at < 0:
		return "?"
	case strings.ContainsAny(quant[:1], "FB"): // F16, FP16, BF16, F32
		return "F"
	default:
		return quant[at : at+1]
	}
}

// class is the place in classes of a model's quantisation.
func (m hubModel) class() int {
	return slices.IndexFunc(classes, func(c class) bool { return strings.Contains(c.bits, bits(m.quant)) })
}

// rank is the place of a model's quantisation among those that are taken where nobody
// names one: the usual one has 0.
func (m hubModel) rank() int {
	const most = 100 // more than a class orders
	class := m.class()
	if i := slices.Index(classes[class].order, m.quant); i >= 0 {
		return class*most + i
	}
	return class*most + most - 1
}

// place is why a model is taken that comes first by its quantisation.
func (m hubModel) place() string {
	if m.quant == usual {
		return "the usual choice"
	}
	return classes[m.class()].why
}

// Rank is the place of a repository's file, by what its name says of its quantisation,
// among those that are taken where nobody names one: the usual one has 0.
func Rank(file string) int { return hubModel{quant: ops.QuantizationOf(file)}.rank() }

// compare puts the better of two first.
func (m hubModel) compare(other hubModel) int {
	return cmp.Or(cmp.Compare(m.rank(), other.rank()), cmp.Compare(other.size, m.size))
}
