package fit

import (
	"strings"

	"rbee.dev/rbee/inference/gguf"
)

// Projector is what makes a model see: a file of its own beside the model's, by
// which llama.cpp turns images into vectors.
type Projector struct {
	// Weights is the size of its file, in bytes.
	Weights uint64

	width, inner, heads, pixels, patches uint64
}

// ReadProjector takes the numbers from a projector's file of so many bytes.
func ReadProjector(f *gguf.File, size int64) Projector {
	const maxSide = 1 << 14
	r := reader{f, "clip.vision."}
	p := Projector{
		Weights: uint64(max(0, size)), //nolint:gosec // not negative
		width:   r.number("embedding_length", 0, maxWidth), inner: r.number("feed_forward_length", 0, maxWidth),
		heads: r.number("attention.head_count", 0, 1<<10),
	}
	side, patch := r.number("image_size", 0, maxSide), max(1, r.number("patch_size", 1, maxSide))
	p.patches, p.pixels = times(side/patch, side/patch)+1, times(side, side)
	kind, _ := f.String("clip.projector_type")
	if own, ok := f.String("clip.vision.projector_type"); ok {
		kind = own
	}
	if strings.HasSuffix(kind, "_merger") || kind == "pixtral" { // images keep their size
		merged := max(1, r.number("spatial_merge_size", 2, 1<<4))
		p.patches = max(p.patches, times(largest, merged, merged))
		p.pixels = times(p.patches, patch, patch)
	}
	return p
}

// largest is how many tokens llama.cpp makes of one image at most, of models whose
// images have any size (tools/mtmd/clip.cpp, set_limit_image_tokens).
const largest = 4096

// compute is the bytes that an image takes while it is turned: its pixels, and what
// a layer holds at its widest.
func (p Projector) compute(r Run) uint64 {
	const float, colours = 4, 3
	widest := max(plus(p.inner, times(3, p.width)), times(6, p.width))
	all := plus(times(p.patches, widest, float), times(p.pixels, colours, 2*float))
	if r.Scores {
		all = plus(all, times(p.patches, p.patches, p.heads, float))
	}
	return all
}
