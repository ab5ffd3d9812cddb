package job

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackOnceAfterABusyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := 0
		i := idleness{release: func() { given++ }}
		jobs := func(n int) {
			for range n {
				i.began()
			}
			for range n {
				i.ended()
			}
		}
		jobs(busy - 1)
		time.Sleep(time.Hour)
		if given != 0 {
			t.Fatal("it was not worth it yet")
		}
		jobs(1)
		time.Sleep(quiet - 1)
		i.began()
		time.Sleep(time.Hour)
		if given != 0 {
			t.Fatal("a job is running")
		}
		i.ended()
		time.Sleep(quiet)
		synctest.Wait()
		if given != 1 {
			t.Errorf("memory was given back %d times, want once", given)
		}
		time.Sleep(time.Hour)
		jobs(busy)
		i.stop()
		time.Sleep(time.Hour)
		if given != 1 {
			t.Errorf("memory was given back %d times, want once", given)
		}
	})
}

func TestTheEndWaitsForWhatIsDoneInAQuietMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var settled, released atomic.Bool
		i := idleness{settle: func() { time.Sleep(time.Second); settled.Store(true) }, release: func() { released.Store(true) }}
		for range busy {
			i.began()
			i.ended()
		}
		time.Sleep(quiet + time.Millisecond)
		if settled.Load() {
			t.Fatal("it takes a second")
		}
		if i.stop(); !settled.Load() || !released.Load() {
			t.Errorf("it is left in its middle: settled %t, released %t", settled.Load(), released.Load())
		}
		for range busy { // jobs that are taken up again elsewhere
			i.began()
			i.ended()
		}
		if i.timer != nil {
			t.Error("after the end it waits for another one")
		}
	})
}
