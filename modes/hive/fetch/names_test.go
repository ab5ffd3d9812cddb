package fetch

import (
	"testing"
	"time"
)

func FuzzContentRangeIsInBounds(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 0-99999999999999999999/1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s, total, ok := contentRange(value)
		if ok && (s.From < 0 || s.To <= s.From || total >= 0 && s.To > total) {
			t.Errorf("%q gives %+v of %d", value, s, total)
		}
	})
}

func TestWhatIsMissingIsWhatWasNotAdded(t *testing.T) {
	s := newSpans([]span{{10, 20}, {40, 50}})
	s.add(20, 30)
	s.add(0, 5)
	if n := s.sum(); n != 35 || s.front() != 5 {
		t.Errorf("it holds %d bytes, %d of them in front", n, s.front())
	}
	missing := int64(0)
	for _, gap := range s.gaps(60, 4) {
		if gap.To-gap.From > 4 {
			t.Errorf("a piece is %+v", gap)
		}
		missing += gap.To - gap.From
		s.add(gap.From, gap.To)
	}
	if missing != 25 || s.front() != 60 || len(s.all()) != 1 {
		t.Errorf("%d bytes were missing, then it is %+v", missing, s.all())
	}
}

func TestAServerSaysHowLongItWantsToBeLeftAlone(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "-5": 0, "": 0, "soon": 0, "999999999999": never, "3600": time.Hour,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second, // by the server's clock: another than ours only changes the pause
		"Mon, 23 Nov 2026 11:00:00 GMT": 0, "Tue, 24 Nov 2026 12:00:00 GMT": 24 * time.Hour, "Tue, 24 Nov 2126 12:00:00 GMT": never,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
