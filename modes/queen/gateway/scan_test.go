package gateway

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestABodysModelAndStreamAreFound(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       asked
	}{
		{"a conversation", `{"messages":[{"role":"user"}],"model":"m"}`, asked{model: "m", prompt: []byte(`[{"role":"user"}]`)}},
		{"both", `{"model":"m","stream":true}`, asked{model: "m", stream: true}},
		{"neither", `{"top_k":0}`, asked{}},
		{"nothing at all", ` { } `, asked{}},
		{"behind a prompt that looks like it", `{"messages":[{"content":"\"model\":\"x\" \\"}],"model" : "a\u0062" , "stream":false}`, asked{model: "ab", prompt: []byte(`[{"content":"\"model\":\"x\" \\"}]`)}},
		{"deeper ones are not it", `{"a":{"model":"x","stream":true},"b":[{"model":"y"}]}`, asked{}},
		{"images", `{"messages":[{"content":[{"type" : "image_url"}]}]}`, asked{prompt: []byte(`[{"content":[{"type" : "image_url"}]}]`), images: true}},
		{"what says so only", `{"messages":[{"content":"\"image_url\""}],"tools":[{"image_url":{}}]}`, asked{prompt: []byte(`[{"content":"\"image_url\""}]`)}},
		{"the last one counts", `{"model":"a","model":"b"}`, asked{model: "b"}},
		{"numbers and words between", `{"n":-1.5e3,"t":true,"z":null,"model":"m"}`, asked{model: "m"}},
		{"names with escapes", `{"mod\u0065l":"m","\u0073tream":true,"\x":1}`, asked{model: "m", stream: true}},
		{"greedy", `{"temperature":0.0,"seed":null}`, asked{greedy: true}},
		{"seeded", `{"temperature":0.7,"seed":7}`, asked{seeded: true}},
		{"neither greedy nor seeded", `{"temperature":null,"seed":-1}`, asked{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := scan([]byte(tt.body))
			if name := tt.body[got.from:got.to]; got.model != "" && !strings.Contains(name, `"`) {
				t.Errorf("the model's name is said to be %s", name)
			}
			if got.from, got.to = 0, 0; err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("scan() = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestWhatIsNoObjectIsRefused(t *testing.T) {
	for _, body := range []string{"", "x", `"a"`, "[]", `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a" 1}`, `{a:1}`, `{"a":]}`, `{"a":"b}`, `{"model":7}`} {
		if got, err := scan([]byte(body)); err == nil {
			t.Errorf("scan(%q) = %+v", body, got)
		}
	}
}

// FuzzScan holds that what is JSON is read as encoding/json reads it.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","stream":true}`, `{"a":[1,{"b":"\\\""}],"model":"é"}`, `{"model":null}`, `[]`, `{"":{}}`, "{\"model\" :\n\"a\"\t}",
	} {
		f.Add([]byte(seed))
	}
	f.Add([]byte(`{"mod\u0065l":"m"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := scan(body)
		var want map[string]json.RawMessage
		if json.Unmarshal(body, &want) != nil || want == nil {
			return // the engine will say so
		}
		var model string
		bad := json.Unmarshal(want["model"], &model) != nil && want["model"] != nil
		if (err != nil) != bad {
			t.Fatalf("scan(%q) = %v, want an error: %v", body, err, bad)
		}
		if !bad && (got.model != model || got.stream != (string(want["stream"]) == "true")) {
			t.Errorf("scan(%q) = %+v, want %q and %s", body, got, model, want["stream"])
		}
	})
}

func BenchmarkScan(b *testing.B) {
	body := []byte(`{"messages":[{"role":"user","content":"` + strings.Repeat("a word and ", 10_000) + `"}],"model":"m"}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := scan(body); err != nil {
			b.Fatal(err)
		}
	}
}
