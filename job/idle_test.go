package job

import (
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
