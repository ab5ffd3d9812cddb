package ops_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

func TestEventsSurviveTheWire(t *testing.T) {
	for name, tt := range map[string]struct {
		event      ops.Event
		kind, data string
	}{
		"narration": {
			ops.NarrationEvent{Actor: "hive", Action: "worker_start", Human: "starting\na worker", Level: ops.LevelInfo, At: at},
			"narration", `{"actor":"hive","action":"worker_start","human":"starting\na worker","level":"info","at":"2026-01-02T03:04:05.678Z"}`,
		},
		"progress": {
			ops.ProgressEvent{Actor: "hive", Action: "model_download", Done: 1 << 40, Total: 1 << 41, Unit: "bytes"},
			"progress", `{"actor":"hive","action":"model_download","done":1099511627776,"total":2199023255552,"unit":"bytes"}`,
		},
		"token":            {ops.TokenEvent{Text: "é\n\r\u2028\"\\ \x00🐝"}, "token", `{"text":"é\n\r\u2028\"\\ \u0000🐝"}`},
		"empty token":      {ops.TokenEvent{}, "token", `{"text":""}`},
		"result":           {ops.ResultEvent{Raw: json.RawMessage(`{"text":"a b","n":1.0}`)}, "result", `{"text":"a b","n":1.0}`},
		"null result":      {ops.ResultEvent{Raw: json.RawMessage(`null`)}, "result", `null`},
		"error":            {ops.ErrorEvent{Error: *ops.Invalid("prompt", "must not be empty").WithHint("say something")}, "error", `{"code":"invalid","message":"must not be empty","field":"prompt","hint":"say something"}`},
		"done":             {ops.EndEvent{State: ops.JobCompleted}, "", `[DONE]`},
		"cancelled":        {ops.EndEvent{State: ops.JobCancelled}, "", `[CANCELLED]`},
		"failed":           {ops.EndEvent{State: ops.JobFailed, Message: "prompt: must not be empty"}, "", `[ERROR] prompt: must not be empty`},
		"failed, mutely":   {ops.EndEvent{State: ops.JobFailed}, "", `[ERROR] `},
		"failed with dots": {ops.EndEvent{State: ops.JobFailed, Message: "[DONE]"}, "", `[ERROR] [DONE]`},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := ops.EncodeEvent(tt.event)
			if err != nil {
				t.Fatal(err)
			}
			if string(data) != tt.data || tt.event.Kind() != tt.kind {
				t.Errorf("the event is %q %s, want %q %s", tt.event.Kind(), data, tt.kind, tt.data)
			}
			back, err := ops.DecodeEvent(tt.event.Kind(), data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.event, back, cmp.AllowUnexported(ops.Error{})); diff != "" {
				t.Errorf("the event comes back otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEventNeverHoldsANewline(t *testing.T) {
	for _, e := range []ops.Event{
		ops.ResultEvent{Raw: json.RawMessage("{\n\t\"a\": [\r\n1]\n}\n")},
		ops.EndEvent{State: ops.JobFailed, Message: "first line\nsecond\r\nthird"},
		ops.TokenEvent{Text: "a\r\nb"},
	} {
		data, err := ops.EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(string(data), "\r\n") {
			t.Errorf("%s event has a newline: %q", e.Kind(), data)
		}
	}
}

func TestEncodeEventRefusesAResultThatIsNoJSON(t *testing.T) {
	for _, raw := range []string{"", "{", "hello", "{}{}"} {
		if data, err := ops.EncodeEvent(ops.ResultEvent{Raw: json.RawMessage(raw)}); err == nil {
			t.Errorf("EncodeEvent(%q) = %s", raw, data)
		}
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ kind, data, text string }{
		"a kind it does not know":    {"dance", `{}`, `unknown kind "dance"`},
		"a narration cut short":      {"narration", `{"actor":"hive"`, "decode narration event"},
		"progress of another type":   {"progress", `{"done":"all"}`, "decode progress event"},
		"a token that is no object":  {"token", `"a"`, "decode token event"},
		"a result cut short":         {"result", `{"text":"a`, "decode result event"},
		"an empty result":            {"result", ``, "decode result event"},
		"an error of another type":   {"error", `[]`, "decode error event"},
		"an end nobody knows":        {"", `[MAYBE]`, "decode end of stream"},
		"an end cut short":           {"", `[DON`, "decode end of stream"},
		"an end with something more": {"", `[DONE] really`, "decode end of stream"},
	} {
		t.Run(name, func(t *testing.T) {
			if e, err := ops.DecodeEvent(tt.kind, []byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("DecodeEvent() = %v, %v; want an error with %q", e, err, tt.text)
			}
		})
	}
}

func TestADecodedResultDoesNotShareItsBytes(t *testing.T) {
	data := []byte(`{"text":"a"}`)
	e, err := ops.DecodeEvent(ops.KindResult, data)
	if err != nil {
		t.Fatal(err)
	}
	copy(data, "XXXXXXXXXXXX")
	if raw := e.(ops.ResultEvent).Raw; string(raw) != `{"text":"a"}` {
		t.Errorf("the result became %s", raw)
	}
}

func TestWhichStatesAreLast(t *testing.T) {
	for state, want := range map[ops.JobState]bool{
		ops.JobQueued: false, ops.JobRunning: false, ops.JobCompleted: true, ops.JobFailed: true, ops.JobCancelled: true,
	} {
		if state.Finished() != want {
			t.Errorf("%s: Finished() = %t, want %t", state, state.Finished(), want)
		}
	}
}
