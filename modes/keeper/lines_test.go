package keeper

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/term"

	"rbee.dev/rbee/modes/home"
)

// TestALineIsReadWhateverBytesAreTyped: Enter ends it, whatever came before.
func TestALineIsReadWhateverBytesAreTyped(t *testing.T) {
	for typed, want := range map[string]string{
		"caf\u00e9\r":               "caf\u00e9",
		"\u65e5\u672c \U0001f41d\r": "\u65e5\u672c \U0001f41d",
		"caf\xe9\r":                 "caf?",
		"caf\xe9 noir\r":            "caf? noir",
		"\xe9\r":                    "?",
		"\xff\xfe\xf0\x9f\r":        "????",
		"a \ufffd b\r":              "a ? b",
	} {
		for how, keys := range map[string]io.Reader{"at once": strings.NewReader(typed), "byte by byte": iotest.OneByteReader(strings.NewReader(typed))} {
			s := &screen{Writer: io.Discard, keys: bufio.NewReader(keys)}
			line, err := term.NewTerminal(s, prompt).ReadLine()
			if err != nil || line != want {
				t.Errorf("%q, %s: %q, %v", typed, how, line, err)
			}
		}
	}
}

// TestLinesThatAreNotTextAreSaidToBe: once in a chat.
func TestLinesThatAreNotTextAreSaidToBe(t *testing.T) {
	queen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"yes\"}}]}\n\ndata: [DONE]\n\n")
	}))
	defer queen.Close()
	for stdin, times := range map[string]int{"caf\xe9\nna\xefve\n": 1, "caf\u00e9\n": 0} {
		var out, said bytes.Buffer
		root := t.TempDir()
		k := &Keeper{
			Flags: Flags{Queen: queen.URL, Token: secret}, Home: home.Home{Config: root, State: root, Cache: root},
			Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &said,
		}
		if err := (&Chat{}).Run(t.Context(), k); err != nil || strings.Count(said.String(), "is not all UTF-8") != times {
			t.Errorf("%q: %v, said %q", stdin, err, said.String())
		}
	}
}
