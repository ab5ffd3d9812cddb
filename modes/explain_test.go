package modes_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestWhyARequestWentWhereItDidIsToldToItsKeyAndOutlivesTheQueen: by whichever way it came.
func TestWhyARequestWentWhereItDidIsToldToItsKeyAndOutlivesTheQueen(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	defer http.DefaultClient.CloseIdleConnections()
	p.rbee("model", "alias", "fast", "tinybee")
	web, laptop := p.newSecret("--name", "web"), p.newSecret("--name", "laptop", "--scope", "jobs")
	status, header, text := p.send("POST", "/v1/chat/completions", strings.Replace(hello, "tinybee", "fast", 1), "x-api-key", web)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	asked := header.Get("X-Rbee-Job")
	if text := p.rbee("--token", web, "explain", asked); !strings.Contains(text, " (web)\n") {
		t.Errorf("to the key that has asked: %s", text)
	}
	if said, err := p.command("--token", laptop, "explain", asked).CombinedOutput(); err == nil || !strings.Contains(string(said), "nothing is remembered") {
		t.Errorf("to another key: %v, %s", err, said)
	}
	p.rbee("--token", laptop, "infer", "-m", "fast", "-n", "3", "Once")
	_, list, _ := strings.Cut(p.rbee("--token", laptop, "job", "list"), "\n")
	job, _, _ := strings.Cut(list, " ")
	if text := p.rbee("--token", laptop, "explain", job); !strings.Contains(text, " (laptop)\n") {
		t.Errorf("of a key's own job: %s", text)
	}
	p.rbee("queen", "stop") // and the next command starts one
	for id, name := range map[string]string{asked: "web", job: "laptop"} {
		text := p.rbee("explain", id)
		for _, want := range []string{"model      tinybee\n", "asked for  fast, an alias\n", " (" + name + ")\n", "ended      done, after ", " on localhost got it\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("after a restart it lacks %q:\n%s", want, text)
			}
		}
	}
}

// TestADeviceThatNoHiveHasIsTriedOnce: and what there is instead is told.
func TestADeviceThatNoHiveHasIsTriedOnce(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	p.rbee("model", "alias", "tinybe", "tinybee")
	said, err := p.command("infer", "-m", "tinybee", "--device", "cuda:7", "x").CombinedOutput()
	if err == nil || !strings.Contains(string(said), "it has: ") || strings.Contains(string(said), "did you mean") {
		t.Errorf("infer says %s, %v", said, err)
	}
	_, list, _ := strings.Cut(p.rbee("job", "list"), "\n")
	for line := range strings.Lines(list) {
		if job, rest, _ := strings.Cut(line, " "); strings.Contains(rest, "infer") {
			if text := p.rbee("explain", job); strings.Count(text, "one is started on") != 1 || strings.Contains(text, "refused") {
				t.Errorf("it is explained so: %s", text)
			}
		}
	}
}
