package daemon

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestASmallHeapMayGrowByMore(t *testing.T) {
	for inUse, want := range map[uint64]int{0: 300, 1 << 20: 325, 3 << 20: 375, 4 << 20: 300, 12 << 20: 100, 1 << 30: 100} {
		if got := percentFor(inUse); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d %%", inUse, got, want)
		}
	}
}

func TestGarbageIsCollectedAsOftenAsAPersonSays(t *testing.T) {
	const said = 123
	defer debug.SetGCPercent(debug.SetGCPercent(said))
	t.Setenv("GOGC", "123")
	CollectSeldom()
	if got := debug.SetGCPercent(said); got != said {
		t.Errorf("it is %d, want %d", got, said)
	}
}

func TestAHeapThatHasGrownIsCollectedAsOften(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	t.Setenv("GOGC", "")
	CollectSeldom()
	held := make([]byte, 64<<20)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		if now == 100 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with %d MB in use it stays at %d %%", len(held)>>20, now)
		}
	}
	runtime.KeepAlive(held)
}
