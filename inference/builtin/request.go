package builtin

import (
	"context"
	"time"

	"rbee.dev/rbee/inference/sample"
)

// request is one piece of work on its way through the scheduler: a text to
// continue, or, where sum is set, one to turn into a vector.
type request struct {
	ctx    context.Context //nolint:containedctx // a request is a call that waits its turn
	prompt []int32
	// sum gets the last vectors of all tokens added up; then there is no answer.
	sum []float32

	most    int // tokens to make at most
	sampler *sample.Sampler
	// out carries the tokens. It has room for all of them, so that a reader
	// who is slow never holds the step up.
	out chan int32

	// first and last are when the first and the last of them were made; they may be read
	// once out is closed.
	first, last time.Time

	// err says why the request ended, once out is closed; nil is that it was
	// done, with ends where the model ended the answer.
	err  error
	ends bool
}

// finish tells the reader that the request has ended.
func (r *request) finish(err error) {
	r.err = err
	close(r.out)
}
