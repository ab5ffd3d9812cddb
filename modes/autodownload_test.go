package modes_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// hub serves a repository bees/tiny with one model, and wasps/tiny with another in
// a file of the same name, as Hugging Face does, and counts what is fetched of them.
// Of bees/two it lists two of one quantisation.
func hub(t *testing.T) (url string, fetched *atomic.Int32) {
	t.Helper()
	fetched = new(atomic.Int32)
	mux := http.NewServeMux()
	other := bytes.Replace(testdata.Tinybee(), []byte("tinybee"), []byte("tinywas"), 1)
	for repository, file := range map[string][]byte{"bees/tiny": testdata.Tinybee(), "wasps/tiny": other} {
		sum := fmt.Sprintf("%x", sha256.Sum256(file))
		mux.HandleFunc("GET /api/models/"+repository+"/tree/main", func(w http.ResponseWriter, _ *http.Request) {
			fetched.Add(1)
			_, _ = fmt.Fprintf(w, `[{"type":"file","path":"tiny-Q8_0.gguf","size":%d,"lfs":{"oid":%q}}]`, len(file), sum)
		})
		mux.HandleFunc("GET /"+repository+"/resolve/main/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"`+sum+`"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
		})
	}
	mux.HandleFunc("GET /api/models/bees/two/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"type":"file","path":"a-Q8_0.gguf","size":5},{"type":"file","path":"b-Q8_0.gguf","size":5}]`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, fetched
}

func TestAModelIsBroughtByTheRequestForIt(t *testing.T) {
	url, fetched := hub(t)
	p := newPlace(t, "HF_ENDPOINT="+url, "RBEE_AUTO_DOWNLOAD=1")
	none, err := p.command("worker", "spawn", "hf:bees/tiny", "--device", "cuda:99").CombinedOutput()
	if said := string(none); err == nil || !strings.Contains(said, `--device: there is no device "cuda:99" on hive localhost`) || !strings.Contains(said, "it has: cpu") || fetched.Load() > 0 {
		t.Errorf("for a device that none has, after %d requests: %s", fetched.Load(), said)
	}
	c := newOpenAI(p)
	answer, err := http.Post("http://"+p.record("queen").Address+"/v1/completions", "application/json", //nolint:noctx // as a person's client does
		strings.NewReader(`{"model":"hf:bees/tiny","prompt":"Once","max_tokens":3,"temperature":0,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{": queen: no hive has hf:bees/tiny: downloading it onto localhost", ": hive: taking tiny-Q8_0.gguf", "is ready", `"model":"tiny-Q8_0"`, "data: [DONE]"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in %s", want, text.String())
		}
	}
	why := p.rbee("explain", answer.Header.Get("X-Rbee-Job"))
	for _, want := range []string{"model      tiny-Q8_0", "asked for  hf:bees/tiny", "no hive had the model: it is downloaded onto localhost", "no worker has the model: one is started on localhost", "the model is on its disk"} {
		if !strings.Contains(why, want) {
			t.Errorf("it is not explained by %q: %s", want, why)
		}
	}
	before := fetched.Load()
	for _, name := range []string{"hf:bees/tiny", "hf:bees/tiny:Q8_0", "tiny-Q8_0"} { // it is there now
		whole, err := c.Completions.New(t.Context(), openai.CompletionNewParams{
			Model: openai.CompletionNewParamsModel(name), MaxTokens: openai.Int(3), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once")},
		})
		if err != nil || whole.Choices[0].Text == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out := p.rbee("infer", "-m", "hf:bees/tiny", "-n", "3", "x"); out == "" {
		t.Error("infer says nothing")
	}
	var stderr bytes.Buffer
	cmd := p.command("infer", "-m", "hf:bees/tiny", "-n", "1", "x")
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || !strings.Contains(stderr.String(), "queen: taking tiny-Q8_0 for hf:bees/tiny: it is there") {
		t.Errorf("infer says %q, %v", stderr.String(), err)
	}
	if fetched.Load() != before {
		t.Error("the hub was asked again for what is there")
	}
	_, err = c.Completions.New(t.Context(), openai.CompletionNewParams{Model: "hf:bees/none", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once")}})
	if refused, ok := errors.AsType[*openai.Error](err); !ok || refused.StatusCode != http.StatusNotFound || !strings.Contains(refused.Message, "bees/none") {
		t.Errorf("what the hub has not: %v", err)
	}
	if out, err := p.command("infer", "-m", "hf:bees/none", "x").CombinedOutput(); err == nil || !strings.Contains(string(out), "bees/none") {
		t.Errorf("infer says of it %q, %v", out, err)
	}
	_, jobs, _ := strings.Cut(p.rbee("job", "list"), "\n")
	job, _, _ := strings.Cut(jobs, " ")
	if why := p.rbee("explain", job); !strings.Contains(why, "ended      with an error, after ") || !strings.Contains(why, "error      there is no bees/none") ||
		!strings.Contains(why, "it is downloaded onto localhost\n              it failed: there is no bees/none") {
		t.Errorf("it is explained so: %s", why)
	}
	_, err = c.Completions.New(t.Context(), openai.CompletionNewParams{Model: "hf:bees/two", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once")}})
	if refused, ok := errors.AsType[*openai.Error](err); !ok || refused.StatusCode != http.StatusBadRequest || refused.Param != "model" || !strings.Contains(refused.Message, "there are a-Q8_0.gguf, b-Q8_0.gguf") {
		t.Errorf("what means two: %v", err)
	}
	out, err := p.command("infer", "-m", "hf:bees/two", "x").CombinedOutput()
	if err == nil || strings.Count(string(out), "has several files with Q8_0") != 1 || strings.Contains(string(out), "is going to be called") {
		t.Errorf("infer says of it %q, %v", out, err)
	}
}

func TestTwoModelsOfOneNameAreBroughtByTheirRequests(t *testing.T) {
	url, _ := hub(t)
	p := newPlace(t, "HF_ENDPOINT="+url, "RBEE_AUTO_DOWNLOAD=1")
	c := newOpenAI(p)
	var asking sync.WaitGroup
	for range 2 { // the second time they are there
		for _, repository := range []string{"bees/tiny", "wasps/tiny"} {
			asking.Go(func() {
				_, err := c.Completions.New(t.Context(), openai.CompletionNewParams{
					Model: openai.CompletionNewParamsModel("hf:" + repository), MaxTokens: openai.Int(3), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once")},
				})
				if err != nil {
					t.Errorf("%s: %v", repository, err)
				}
			})
		}
		asking.Wait()
	}
	var list ops.Models
	if err := json.Unmarshal([]byte(p.rbee("model", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	from := map[string]string{}
	for _, m := range list.Models {
		from[m.ID] = m.Source
	}
	first, second := "hf:bees/tiny:tiny-Q8_0.gguf", "hf:wasps/tiny:tiny-Q8_0.gguf"
	one := from["tiny-Q8_0"] == first && from["wasps-tiny"] == second // whichever came first has the file's name
	other := from["tiny-Q8_0"] == second && from["bees-tiny"] == first
	if !one && !other {
		t.Errorf("the models are from %v", from)
	}
}

func TestARestartGivesTheHiveTheEnvironmentOfNow(t *testing.T) {
	url, fetched := hub(t)
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "x")
	workers := p.workers()
	t.Setenv("HF_ENDPOINT", url)
	p.rbee("queen", "restart")
	if out := p.rbee("model", "download", "hf:bees/tiny"); !strings.Contains(out, "tiny-Q8_0") || fetched.Load() == 0 {
		t.Errorf("it prints %q", out)
	}
	if after := p.workers(); len(workers) != 1 || len(after) != 1 || after[0].PID != workers[0].PID {
		t.Errorf("the workers were %+v and are %+v", workers, after)
	}
}
