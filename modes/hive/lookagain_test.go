package hive

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// TestADriverThatHungIsAskedAgain: also where it hangs at a later look, and less and
// less often while it does.
func TestADriverThatHungIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // the bubble's clock orders what is done, and the race detector knows nothing of it
		var asked []time.Duration
		began, hangs := time.Now(), true
		m := machine{hung: make(chan struct{}, 1), looked: make(chan struct{}), memory: func(context.Context) (total, free uint64) { return 2, 1 }}
		m.nvidia = func(context.Context) ([]ops.Device, []string) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, time.Since(began))
			if hangs {
				return nil, []string{noAnswer}
			}
			return []ops.Device{{ID: "cuda:0", Kind: "cuda", MemoryBytes: 1}}, nil
		}
		ctx, end := context.WithCancel(t.Context())
		told, ended := 0, make(chan struct{})
		go func() { defer close(ended); m.looking(ctx, func() { mu.Lock(); told++; mu.Unlock() }) }()
		after := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
			mu.Lock() // what others wrote is seen from here on
			defer mu.Unlock()
		}
		hang := func(does bool) {
			mu.Lock()
			defer mu.Unlock()
			hangs = does
		}
		after(25 * time.Minute)
		const s = time.Second
		if want := []time.Duration{0, 10 * s, 30 * s, 70 * s, 150 * s, 310 * s, 610 * s, 910 * s, 1210 * s}; !slices.Equal(asked, want) {
			t.Errorf("it is asked after %v", asked)
		}
		if len(m.gpus()) != 0 || !m.hangs() {
			t.Errorf("meanwhile there are %+v, and it says %q", m.gpus(), m.wrong())
		}
		hang(false)
		after(5 * time.Minute)
		if len(m.gpus()) != 1 || len(m.wrong()) != 0 || told != 10 {
			t.Errorf("once it answers there are %+v, it says %q, and it was told %d times", m.gpus(), m.wrong(), told)
		}
		after(time.Hour)
		if len(asked) != 10 {
			t.Errorf("a driver that is well is asked %d times more", len(asked)-10)
		}
		hang(true)
		m.look(ctx)
		hang(false)
		after(lookAgain)
		if len(m.gpus()) != 1 || len(asked) != 12 {
			t.Errorf("after it hung later there are %+v; it was asked %d times", m.gpus(), len(asked))
		}
		end()
		<-ended
	})
}
