package gguftest

import (
	"fmt"
	"math/rand/v2"
)

// Projector is the shape of a projector with random weights, by which llama.cpp
// makes a model see: a vision transformer as CLIP's, with two layers behind it, as
// LLaVA 1.5 has them. Zero values get small defaults.
type Projector struct {
	Output int // width of the model's vectors; default 256
	Image  int // width of an image, in pixels; default 32
	Patch  int // and of the squares that it is cut into; default 8
	Width  int // default 64
	FFN    int // default 128
	Heads  int // default 4
	Layers int // default 2
	Seed   uint64
}

// Bytes is the projector's file.
func (p Projector) Bytes() []byte {
	for _, d := range []struct {
		v        *int
		fallback int
	}{{&p.Output, 256}, {&p.Image, 32}, {&p.Patch, 8}, {&p.Width, 64}, {&p.FFN, 128}, {&p.Heads, 4}, {&p.Layers, 2}} {
		if *d.v == 0 {
			*d.v = d.fallback
		}
	}
	var b Builder
	b.Set("general.architecture", "clip")
	b.Set("clip.has_vision_encoder", true)
	b.Set("clip.projector_type", "mlp")
	b.Set("clip.use_gelu", true)
	for key, n := range map[string]int{
		"image_size": p.Image, "patch_size": p.Patch, "embedding_length": p.Width, "feed_forward_length": p.FFN,
		"projection_dim": p.Output, "block_count": p.Layers, "attention.head_count": p.Heads,
	} {
		b.Set("clip.vision."+key, uint32(n)) //nolint:gosec // a test's
	}
	b.Set("clip.vision.attention.layer_norm_epsilon", float32(1e-5))
	b.Set("clip.vision.image_mean", []float32{0.5, 0.5, 0.5})
	b.Set("clip.vision.image_std", []float32{0.25, 0.25, 0.25})
	p.weights(&b)
	return b.Bytes()
}

func (p Projector) weights(b *Builder) {
	r := rand.New(rand.NewPCG(p.Seed, 11))
	add := func(name string, shape ...int) {
		n, dims := 1, make([]uint64, len(shape))
		for i, d := range shape {
			n, dims[i] = n*d, uint64(d) //nolint:gosec // a test's
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(r.NormFloat64()) / 8
		}
		b.AddF32(name, values, dims...)
	}
	both := func(name string, in, out int) { // a matrix and what is added
		add(name+".weight", in, out)
		add(name+".bias", out)
	}
	norm := func(name string) {
		add(name+".weight", p.Width)
		add(name+".bias", p.Width)
	}
	side := p.Image / p.Patch
	add("v.class_embd", p.Width)
	add("v.patch_embd.weight", p.Patch, p.Patch, 3, p.Width)
	add("v.position_embd.weight", p.Width, side*side+1)
	norm("v.pre_ln")
	for i := range p.Layers {
		layer := fmt.Sprintf("v.blk.%d.", i)
		norm(layer + "ln1")
		for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_out"} {
			both(layer+name, p.Width, p.Width)
		}
		norm(layer + "ln2")
		both(layer+"ffn_up", p.Width, p.FFN)
		both(layer+"ffn_down", p.FFN, p.Width)
	}
	norm("v.post_ln")
	both("mm.0", p.Width, p.Output)
	both("mm.2", p.Output, p.Output)
}
