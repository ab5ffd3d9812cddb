package modes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestAPersonTalksAtATerminal(t *testing.T) {
	p := newPlace(t)
	cmd := p.command("chat", "-m", "tinybee", "-n", "6", "--seed", "1")
	s := sitWhole(t, cmd)
	s.answer("You talk with tinybee. /help shows", "Once upon a time")
	s.answer("is ready", "/hlp") // typed while the answer comes
	s.answer("did you mean /help?", "/help")
	s.answer("/new", "/explain")
	s.answer(" on localhost got it", "/model tinybea")
	s.answer("did you mean \"tinybee\"?", "/quit")
	if text, code := s.end(cmd); code != 0 || strings.Count(text, "> ") < 2 || strings.Count(text, "rbee:") != 2 {
		t.Errorf("code %d: %s", code, text)
	}
}

func TestCtrlCBreaksAnAnswerOffOrClearsALineAndTheChatGoesOn(t *testing.T) {
	p := newPlace(t)
	cmd := p.command("chat", "-m", "slow", "-n", "350", "--seed", "1")
	s := sitWhole(t, cmd)
	s.answer("> ", "Once upon a time")
	s.press("is ready", "\x03")
	s.answer(" the conversation\r\n> ", "/model tinybee")
	s.answer("the model is tinybee\r\n> ", "And then?")
	s.answer("And then?", "/help") // typed while the answer comes
	s.press("or clears the line.\r\n> ", "half a line")
	s.press("half a line", "\x03")
	s.press("half a line\r\n> ", "\x03")
	s.press("/quit ends the chat.\r\n> ", "\x04")
	text, code := s.end(cmd)
	_, answer, _ := strings.Cut(text, "And then?")
	answer, _, _ = strings.Cut(answer, "/new")
	if code != 0 || len(answer) < 100 || strings.Contains(text, "rbee:") || !strings.HasSuffix(text, "> \r\n\x1b[?2004l") {
		t.Errorf("code %d: %s", code, text)
	}
}

func TestAPasteOfSeveralLinesIsOneTurn(t *testing.T) {
	var asked []string
	queen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []struct{ Content string } }
		if err := json.NewDecoder(r.Body).Decode(&body); err == nil && len(body.Messages) > 0 {
			asked = append(asked, body.Messages[len(body.Messages)-1].Content)
		}
		_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"answer %d\"}}]}\n\ndata: [DONE]\n\n", len(asked))
	}))
	defer queen.Close()
	cmd := exec.Command(binary, "chat")
	cmd.Env = append(os.Environ(), "RBEE_HOME="+t.TempDir(), "RBEE_QUEEN="+queen.URL, "RBEE_TOKEN=x")
	s := sitWhole(t, cmd)
	s.press("\x1b[?2004h", "say \x1b[200~one\rtwo\rthree\x1b[201~\r")
	s.press("answer 1\r\n> ", "\x1b[200~/quit\r\nmore\r\n\x1b[201~")
	s.press("more\r\n> ", "\r")
	s.press("answer 2\r\n> ", "\x1b[200~given\rup\x1b[201~")
	s.press("> up", "\x03")
	s.press("> up\r\n> ", "\x04")
	text, code := s.end(cmd)
	if want := []string{"say one\ntwo\nthree", "/quit\nmore"}; code != 0 || !slices.Equal(asked, want) {
		t.Errorf("code %d, asked %q: %q", code, asked, text)
	}
}

func TestASignalEndsAChatThatWaitsForALine(t *testing.T) {
	p := newPlace(t)
	cmd := p.command("chat")
	s := sitWhole(t, cmd)
	s.press("You talk with whichever model is loaded", "half a line")
	s.press("half a line", "")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if text, code := s.end(cmd); code != 130 || !strings.HasSuffix(text, "rbee: cancelled\r\n") {
		t.Errorf("code %d: %s", code, text)
	}
}

// TestThoughtsAreNoPartOfAConversation: they are on standard error, dim at a terminal,
// and not said to the model again.
func TestThoughtsAreNoPartOfAConversation(t *testing.T) {
	var turns []string
	queen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []struct{ Content string } }
		if err := json.NewDecoder(r.Body).Decode(&body); err == nil {
			for _, m := range body.Messages {
				turns = append(turns, m.Content)
			}
		}
		for _, delta := range []string{`"reasoning_content":"I "`, `"reasoning_content":"see.\x1b[2J"`, `"content":"Hello"`} {
			_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{%s}}]}\n\n", strings.ReplaceAll(delta, `\x1b`, `\u001b`))
		}
		_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	defer queen.Close()
	chat := func() *exec.Cmd {
		cmd := exec.Command(binary, "chat")
		cmd.Env = append(os.Environ(), "RBEE_HOME="+t.TempDir(), "RBEE_QUEEN="+queen.URL, "RBEE_TOKEN=x", "NO_COLOR=")
		return cmd
	}
	cmd := chat()
	cmd.Stdin = strings.NewReader("one\ntwo\n")
	var said, told strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &told
	const thought = "thinks: I see.\\x1b[2J"
	if err := cmd.Run(); err != nil || said.String() != "Hello\nHello\n" || told.String() != thought+"\n"+thought+"\n" {
		t.Errorf("%v: said is %q, told %q", err, said.String(), told.String())
	}
	if want := []string{"one", "one", "Hello", "two"}; !slices.Equal(turns, want) {
		t.Errorf("the model is told %q", turns)
	}
	cmd = chat()
	s := sitWhole(t, cmd)
	s.press("\x1b[?2004h", "one\r")
	s.press("\x1b[2m"+thought+"\x1b[0m\r\nHello\r\n> ", "\x04")
	if text, code := s.end(cmd); code != 0 {
		t.Errorf("code %d: %q", code, text)
	}
}

func TestAnEnginesErrorInAChatIsTold(t *testing.T) {
	queen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "data: {\"error\":{\"message\":\"CUDA out of memory\",\"type\":\"server_error\",\"code\":500}}\n\n")
	}))
	defer queen.Close()
	cmd := exec.Command(binary, "chat")
	cmd.Env = append(os.Environ(), "RBEE_HOME="+t.TempDir(), "RBEE_QUEEN="+queen.URL, "RBEE_TOKEN=x")
	cmd.Stdin = strings.NewReader("one\n")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "rbee: CUDA out of memory") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestWhatWasShownOfAnAnswerStaysInTheConversation: whether it failed or was broken off.
// A line that nothing was answered to does not, and the person is told so.
func TestWhatWasShownOfAnAnswerStaysInTheConversation(t *testing.T) {
	var mu sync.Mutex
	var told [][]string
	queen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []struct{ Content string } }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return
		}
		var turns []string
		for _, m := range body.Messages {
			turns = append(turns, m.Content)
		}
		mu.Lock()
		told = append(told, turns)
		mu.Unlock()
		for event := range strings.FieldsSeq(map[string]string{"one": "shown fails", "two": "fails", "three": "shown hangs", "four": "hangs", "five": "ends", "six": "shown ends"}[turns[len(turns)-1]]) {
			text := map[string]string{
				"shown": `{"choices":[{"delta":{"content":"Some honey"}}]}`, "fails": `{"error":{"message":"boom","type":"server_error","code":500}}`, "ends": "[DONE]",
			}[event]
			if event == "hangs" {
				_, _ = fmt.Fprint(w, ": nearly there\n\n")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-t.Context().Done():
				}
				return
			}
			_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
		}
	}))
	t.Cleanup(queen.Close)
	chat := func() (*exec.Cmd, *sitting) {
		cmd := exec.Command(binary, "chat")
		cmd.Env = append(os.Environ(), "RBEE_HOME="+t.TempDir(), "RBEE_QUEEN="+queen.URL, "RBEE_TOKEN=x")
		return cmd, sitWhole(t, cmd)
	}
	cmd, s := chat()
	s.answer("\x1b[?2004h", "one")
	s.answer("rbee: boom\r\nkeeper: what was shown of the answer stays in the conversation\r\n> ", "two")
	s.answer("rbee: boom\r\nkeeper: nothing was answered: the line is no part of the conversation\r\n> ", "three")
	s.press("three\r\nSome honey", "\x03")
	s.answer("keeper: the answer was broken off; what was shown of it stays in the conversation\r\n> ", "five")
	s.answer("five\r\n\r\nkeeper: nothing was answered: the line is no part of the conversation\r\n> ", "six")
	s.press("six\r\nSome honey\r\n> ", "\x04")
	if text, code := s.end(cmd); code != 0 {
		t.Errorf("code %d: %q", code, text)
	}
	cmd, s = chat()
	s.answer("\x1b[?2004h", "four")
	s.press("four\r\nnearly there", "\x03")
	s.answer("keeper: nothing was answered: the line is no part of the conversation\r\n> ", "six")
	s.press("six\r\nSome honey\r\n> ", "\x04")
	if text, code := s.end(cmd); code != 0 {
		t.Errorf("code %d: %q", code, text)
	}
	const some = "Some honey"
	want := [][]string{{"one"}, {"one", some, "two"}, {"one", some, "three"}, {"one", some, "three", some, "five"}, {"one", some, "three", some, "six"}, {"four"}, {"six"}}
	if !slices.EqualFunc(told, want, slices.Equal) {
		t.Errorf("the model is told %q, want %q", told, want)
	}
}
