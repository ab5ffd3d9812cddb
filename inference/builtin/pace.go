package builtin

import "time"

// pace chooses how many tokens of prompts a step takes: as many as it can
// compute in about stepTime, so that those who wait for their next token, or
// for a place, wait no longer. What comes out does not depend on it.
type pace struct {
	perToken time.Duration // measured
}

const (
	stepTime    = 100 * time.Millisecond
	leastPrompt = 8 // fewer would waste what tokens of one step share
	mostPrompt  = 128
)

// tokens is how many the next step may take.
func (p *pace) tokens() int {
	if p.perToken <= 0 {
		return leastPrompt
	}
	return max(leastPrompt, min(mostPrompt, int(stepTime/p.perToken)&^3)) // kernels like multiples of four
}

// took notes how long a step of n tokens was. Steps of a few say little about
// longer ones, which are cheaper for each token.
func (p *pace) took(n int, d time.Duration) {
	if n < leastPrompt {
		return
	}
	now := max(1, d/time.Duration(n))
	if p.perToken == 0 {
		p.perToken = now
	}
	p.perToken = (p.perToken + now) / 2
}
