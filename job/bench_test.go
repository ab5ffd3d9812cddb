package job_test

import (
	"context"
	"testing"

	"rbee.dev/rbee/ops"
)

// What a token costs the work that says it: nobody reads, or one reader does.
func BenchmarkEmit(b *testing.B) {
	for _, readers := range []string{"nobody reads", "one reads"} {
		b.Run(readers, func(b *testing.B) {
			follow := make(chan struct{})
			done := make(chan struct{})
			d := serve(b, func(ctx context.Context, _ ops.HiveOp) (any, error) {
				defer close(done)
				<-follow
				for b.Loop() {
					ops.Emit(ctx, ops.TokenEvent{Text: " bee"})
				}
				return "done", nil
			})
			id := d.submit(infer)
			if readers == "nobody reads" {
				close(follow)
				<-done
				return
			}
			close(follow)
			d.all(id)
		})
	}
}

// What a short job costs from its submission to the end of its stream.
func BenchmarkJob(b *testing.B) {
	d := serve(b, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 1)
		return "done", nil
	})
	for b.Loop() {
		d.all(d.submit(infer))
	}
}
