package ops

import (
	"strings"
	"testing"
)

func TestAShapeIsAPatternAndALength(t *testing.T) {
	p := shaped(`^[a-z]*$`, 2, 4)
	for text, want := range map[string]bool{"": false, "a": false, "ab": true, "abcd": true, "abcde": false, "aB": false, "ab\n": false, strings.Repeat("a", 1<<20): false} {
		if p.MatchString(text) != want {
			t.Errorf("%.10q: %t", text, !want)
		}
	}
}
