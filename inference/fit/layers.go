package fit

// fullEvery is how many layers there are for each that looks back at everything,
// of architectures whose files do not say so (llama.cpp, src/llama-model.cpp,
// set_swa_pattern).
var fullEvery = map[string]uint64{
	"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gemma-embedding": 6, "cohere2": 4, "gpt-oss": 2, "llama4": 4, "exaone4": 4, "olmo2": 4,
}

// window is how many tokens a layer looks back; 0 is all of them. What is not
// known to be less is all.
func (r reader) window(i int) uint64 {
	tokens := r.number("attention.sliding_window", 0, maxTokens)
	if tokens == 0 {
		return 0
	}
	const key = "attention.sliding_window_pattern"
	if list, ok := r.file.Bools(r.prefix + key); ok && len(list) > 0 {
		if !list[i%len(list)] {
			return 0
		}
		return tokens
	}
	every := r.number(key, fullEvery[r.file.Architecture()], maxLayers)
	if every == 0 || uint64(i)%every == every-1 { //nolint:gosec // not negative
		return 0
	}
	return tokens
}

// recurrent says which layers keep a state in place of keys and values, and how
// big it is.
type recurrent struct {
	all   bool
	every uint64 // but for each of so many; 0 says nothing
	state uint64 // bytes
}

// recurrent reads the shape of state-space layers (mamba and its like) and of
// RWKV's.
func (r reader) recurrent(width uint64) recurrent {
	const float = 4
	inner, state := r.number("ssm.inner_size", 0, maxWidth), r.number("ssm.state_size", 0, 1<<12)
	kernel, groups := r.number("ssm.conv_kernel", 1, 1<<8), r.number("ssm.group_count", 0, 1<<10)
	rwkv := r.number("wkv.head_size", 0, 1<<12)
	_, attends := r.file.Uint(r.prefix + "attention.head_count")
	_, each := r.file.Ints(r.prefix + "attention.head_count")
	return recurrent{
		all:   rwkv > 0 || state > 0 && !attends && !each,
		every: r.number("full_attention_interval", 0, maxLayers),
		state: float * ((max(1, kernel)-1)*(inner+2*groups*state) + state*inner + rwkv*width + 2*min(rwkv, 1)*width),
	}
}

func (r recurrent) at(i int, heads perLayer) bool {
	if r.state == 0 {
		return false
	}
	if r.every > 0 {
		return uint64(i)%r.every != r.every-1 //nolint:gosec // not negative
	}
	return r.all || heads.at(i) == 0
}
