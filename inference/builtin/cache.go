package builtin

// cache holds the keys and values of one slot's tokens, so that each token is
// computed once. It grows with what is in it: a slot that is never filled to
// its context costs little.
type cache struct {
	keys, values [][]float32 // per layer and key head: position after position
	dim          int
	room         int // positions that fit
	most         int // positions that there can be
}

func newCache(m *model, most int) *cache {
	n := m.layers * m.kvHeads
	return &cache{keys: make([][]float32, n), values: make([][]float32, n), dim: m.headDim, most: most}
}

// reserve makes room for so many positions.
func (c *cache) reserve(positions int) {
	if positions <= c.room {
		return
	}
	room := max(positions, min(max(64, c.room+c.room/2), c.most))
	for i := range c.keys {
		c.keys[i] = enlarge(c.keys[i], room*c.dim)
		c.values[i] = enlarge(c.values[i], room*c.dim)
	}
	c.room = room
}

func enlarge(old []float32, n int) []float32 {
	grown := make([]float32, n)
	copy(grown, old)
	return grown
}

// put stores a token's key and value of one layer, all heads of each.
func (c *cache) put(m *model, layer, position int, key, value []float32) {
	for h := range m.kvHeads {
		i := layer*m.kvHeads + h
		at := position * c.dim
		copy(c.keys[i][at:], key[h*c.dim:(h+1)*c.dim])
		copy(c.values[i][at:], value[h*c.dim:(h+1)*c.dim])
	}
}
