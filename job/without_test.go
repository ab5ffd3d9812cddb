package job_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

const (
	look   = `{"operation":"worker_list"}`
	remove = `{"operation":"model_delete","id":"bee"}`
)

// TestWhoLooksOrMakesRoomNeedsNoDisk: neither to begin nor to go on.
func TestWhoLooksOrMakesRoomNeedsNoDisk(t *testing.T) {
	for _, body := range []string{look, remove} {
		t.Run(body, func(t *testing.T) {
			d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
				tokens(ctx, 3)
				return "done", nil
			})
			d.Compact()
			if err := os.RemoveAll(d.Options.Dir); err != nil {
				t.Fatal(err)
			}
			id := d.submit(body)
			for range 2 { // also who comes late
				if got := d.all(id); len(got) != 5 || got[0].data != `{"text":"t1"}` || got[3].data != `"done"` {
					t.Fatalf("%v", got)
				}
			}
			<-d.Unread()
			d.Compact()
			if got := d.all(id); len(got) != 5 {
				t.Errorf("after the memory was put in order: %v", got)
			}
		})
	}
}

func TestALookWhoseLogHasNoRoomGoesOnInMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		tail int
		ok   bool
	}{"all of it in memory": {64 << 10, true}, "some of it gone from memory": {1, false}} {
		t.Run(name, func(t *testing.T) {
			two, room := make(chan struct{}), make(chan struct{})
			d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
				tokens(ctx, 2)
				close(two)
				<-room
				tokens(ctx, 2)
				return "done", nil
			}, func(o *job.Options[ops.HiveOp]) { o.TailBytes, o.MaxFinished = tt.tail, 1 })
			id := d.submit(look)
			<-two
			file := d.ReplaceLogFile(id, full(t))
			defer file.Close()
			close(room)
			got := d.all(id)
			if last := got[len(got)-1].data; (last == "[DONE]") != tt.ok || tt.ok && len(got) != 6 {
				t.Fatalf("%v", got)
			}
			if !tt.ok {
				return
			}
			<-d.Unread()
			if left, _ := filepath.Glob(filepath.Join(d.Options.Dir, "[^.]*")); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
			d.Restart(mustNotRun(t))
			if status, _ := d.request(http.MethodGet, "/v1/jobs/"+id, ""); status != http.StatusNotFound {
				t.Errorf("after a restart it is %d", status)
			}
		})
	}
}
