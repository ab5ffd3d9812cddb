package modes_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"rbee.dev/rbee/ops"
)

// send sends one request to the queen of p and returns status and text.
func (p *place) send(method, path, body string, header ...string) (int, http.Header, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.record("queen").Address+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

// newSecret makes a key by the command and returns its secret.
func (p *place) newSecret(args ...string) string {
	p.t.Helper()
	secret := strings.TrimSpace(p.rbee(append([]string{"key", "create"}, args...)...))
	if !strings.HasPrefix(secret, ops.KeyPrefix) || strings.ContainsAny(secret, " \n") {
		p.t.Fatalf("key create printed %q", secret)
	}
	return secret
}

const hello = `{"model":"tinybee","max_tokens":3,"messages":[{"role":"user","content":"Once"}]}`

func TestAKeyIsWantedFromTheFirstOneOnAndItsSecretIsNowhere(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	defer http.DefaultClient.CloseIdleConnections()
	if status, _, text := p.send("POST", "/v1/chat/completions", hello); status != http.StatusOK {
		t.Fatalf("without any key: %d %s", status, text)
	}
	secret := p.newSecret("--name", "web", "--model", "tinybee", "--requests-per-minute", "2")
	bearer := []string{"Authorization", "Bearer " + secret}
	for _, tt := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		{"POST", "/v1/chat/completions", hello, nil, 401, `"code":"invalid_api_key"`},
		{"POST", "/v1/messages", hello, nil, 401, `"type":"authentication_error"`},
		{"POST", "/api/chat", hello, nil, 401, `{"error":"an API key is wanted`},
		{"GET", "/v1/models", "", bearer, 200, `"tinybee"`},
		{"POST", "/v1/chat/completions", strings.Replace(hello, "tinybee", "slow", 1), bearer, 403, "may use tinybee"},
		{"POST", "/v1/jobs", `{"operation":"status"}`, bearer, 403, "--scope jobs"},
		{"POST", "/v1/chat/completions", hello, bearer, 200, `"chat.completion"`},
		{"POST", "/v1/messages", hello, []string{"X-Api-Key", secret}, 200, `"output_tokens":3`},
		{"POST", "/v1/messages", hello, []string{"X-Api-Key", secret}, 429, `"type":"rate_limit_error"`},
	} {
		status, header, text := p.send(tt.method, tt.path, tt.body, tt.header...)
		if status != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.method, tt.path, status, text, tt.status, tt.want)
		}
		if status == http.StatusTooManyRequests && header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if _, _, text := p.send("GET", "/v1/models", "", bearer...); strings.Contains(text, `"slow"`) {
		t.Errorf("models that it may not use: %s", text)
	}
	p.countsAreKept()
	p.rbee("queen", "restart") // writes everything down
	p.nowhere(secret)
}

func TestTokensAMinuteHoldForRequestsAtTheSameTimeAndThroughARestart(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	p.rbee("worker", "spawn", "tinybee", "-q")
	defer http.DefaultClient.CloseIdleConnections()
	began := time.Now()
	bearer := []string{"Authorization", "Bearer " + p.newSecret("--name", "busy", "--tokens-per-minute", "60")}
	statuses := make(chan int, 20)
	var asking sync.WaitGroup
	for range cap(statuses) {
		asking.Go(func() {
			status, _, _ := p.send("POST", "/v1/chat/completions", strings.Replace(hello, `"max_tokens":3`, `"max_tokens":25`, 1), bearer...)
			statuses <- status
		})
	}
	asking.Wait()
	close(statuses)
	count := map[int]int{}
	for status := range statuses {
		count[status]++
	}
	if count[200] == 0 || count[429] == 0 || count[200]+count[429] != cap(statuses) {
		t.Errorf("the answers were %v", count)
	}
	used := p.used("busy")
	if flown := int64(time.Since(began).Seconds()) + 1; used > 60+flown+50 { // and the last one let in
		t.Errorf("%d tokens were used within %d s, of 60 a minute", used, flown)
	}

	secret := p.newSecret("--name", "owing", "--tokens-per-minute", "5", "--scope", "inference", "--scope", "jobs")
	bearer = []string{"Authorization", "Bearer " + secret}
	if status, _, text := p.send("POST", "/v1/chat/completions", strings.Replace(hello, `"max_tokens":3`, `"max_tokens":100`, 1), bearer...); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	p.rbee("queen", "restart")
	if status, header, text := p.send("POST", "/v1/chat/completions", hello, bearer...); status != 429 || header.Get("Retry-After") == "" {
		t.Errorf("after a restart: %d %s", status, text)
	}
	out, err := p.command("infer", "-n", "3", "--token", secret, "Once").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has used up its tokens, which are ") || !strings.Contains(string(out), "try again in") {
		t.Errorf("a job: %s, %v", out, err)
	}
}

func TestACancelledJobIsCountedWithWhatItHasSaid(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	cmd := p.command("infer", "-o", "events", "-n", "400", "Once upon a time") // of the model added last
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), `"event":"token"`) {
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to its end
	}
	_ = cmd.Wait() // 130, or 0 where it was faster
	var report ops.UsageReport
	if err := json.Unmarshal([]byte(p.rbee("usage", "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Usage) != 1 || report.Total.Requests != 1 || report.Total.Errors != 0 || report.Total.TokensOut == 0 || report.Usage[0].Model != "slow" {
		t.Errorf("usage %+v", report)
	}
}

// used is how many tokens the key of that name has used.
func (p *place) used(name string) int64 {
	p.t.Helper()
	var report ops.UsageReport
	if err := json.Unmarshal([]byte(p.rbee("usage", "--by", "key", "-o", "json")), &report); err != nil {
		p.t.Fatal(err)
	}
	for _, r := range report.Usage {
		if r.KeyName == name {
			return r.TokensIn + r.TokensOut
		}
	}
	return 0
}

// countsAreKept wants the usage of one key to be told.
func (p *place) countsAreKept() {
	p.t.Helper()
	var report ops.UsageReport
	if err := json.Unmarshal([]byte(p.rbee("usage", "--by", "key", "-o", "json")), &report); err != nil {
		p.t.Fatal(err)
	}
	for _, r := range report.Usage {
		if r.KeyName == "web" && r.Requests == 2 && r.TokensOut == 6 && r.TokensIn > 0 && r.Errors == 0 && r.Estimated == 0 {
			return
		}
	}
	p.t.Errorf("usage %+v", report)
}

// nowhere wants no file of p's home to hold a secret.
func (p *place) nowhere(secret string) {
	p.t.Helper()
	random := []byte(strings.TrimPrefix(secret, ops.KeyPrefix))
	files := 0
	err := filepath.WalkDir(p.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, random) {
			p.t.Errorf("%s holds the key's secret", path)
		}
		files++
		return err
	})
	if err != nil || files < 10 {
		p.t.Errorf("looked into %d files: %v", files, err)
	}
}

func TestAKeyForJobsLetsAKeeperUseWhatIsThere(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	defer http.DefaultClient.CloseIdleConnections()
	mine, others := p.newSecret("--scope", "jobs", "--name", "laptop"), p.newSecret("--scope", "jobs")
	p.rbee("status") // a job that is nobody's but the token's
	as := func(secret string, args ...string) (string, error) {
		cmd := p.command(append(args, "--queen", p.record("queen").Address, "--token", secret)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := as(mine, "infer", "-n", "3", "-q", "Once upon a time"); err != nil || out == "" {
		t.Fatalf("infer: %s, %v", out, err)
	}
	if out, err := as(mine, "job", "list", "-o", "json"); err != nil || strings.Count(out, `"id":`) != 1 || !strings.Contains(out, `"by":"k`) {
		t.Errorf("its jobs: %s, %v", out, err)
	}
	for secret, want := range map[string]string{mine: `"jobs":{"completed":1}`, others: `"jobs":{}`} {
		if out, err := as(secret, "status", "-o", "json"); err != nil || !strings.Contains(out, want) {
			t.Errorf("its status: %s, %v, want %s", out, err, want)
		}
	}
	if out, err := as(others, "job", "list", "-o", "json"); err != nil || out != `{"jobs":[]}`+"\n" {
		t.Errorf("another's jobs: %s, %v", out, err)
	}
	for _, refused := range [][]string{
		{"key", "list"},
		{"key", "create", "--scope", "admin"},
		{"model", "delete", "tinybee"},
		{"hive", "stop"},
		{"usage"},
		{"worker", "spawn", "--engine", "command", "--command", "id {socket}"},
	} {
		if out, err := as(mine, refused...); err == nil || !strings.Contains(out, "--scope admin") {
			t.Errorf("%s: %s, %v", refused, out, err)
		}
	}
	if out, err := as("wrong", "status"); err == nil || !strings.Contains(out, "neither an API key nor the token") {
		t.Errorf("a wrong one: %s, %v", out, err)
	}
}

func TestTheOfficialClientsBringTheirKeysAndUnderstandRefusals(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	defer http.DefaultClient.CloseIdleConnections()
	url, secret := "http://"+p.record("queen").Address, p.newSecret("--model", "tinybee")
	ask := openai.ChatCompletionNewParams{Model: "tinybee", MaxTokens: openai.Int(3), Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Once")}}
	say := anthropic.MessageNewParams{Model: "tinybee", MaxTokens: 3, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Once"))}}
	for key, want := range map[string]int{secret: 200, "sk-rbee-wrong": 401} {
		o := openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(key), option.WithHTTPClient(http.DefaultClient), option.WithMaxRetries(0))
		_, err := o.Chat.Completions.New(t.Context(), ask)
		if refused, ok := errors.AsType[*openai.Error](err); ok != (want == 401) || ok && (refused.StatusCode != want || refused.Code != "invalid_api_key") {
			t.Errorf("OpenAI's with %s: %v", key, err)
		}
		a := anthropic.NewClient(anthropicoption.WithBaseURL(url), anthropicoption.WithAPIKey(key), anthropicoption.WithHTTPClient(http.DefaultClient), anthropicoption.WithMaxRetries(0))
		_, err = a.Messages.New(t.Context(), say)
		if refused, ok := errors.AsType[*anthropic.Error](err); ok != (want == 401) || ok && (refused.StatusCode != want || !strings.Contains(refused.Error(), "authentication_error")) {
			t.Errorf("Anthropic's with %s: %v", key, err)
		}
	}
	o := openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(secret), option.WithHTTPClient(http.DefaultClient))
	if models, err := o.Models.List(t.Context()); err != nil || len(models.Data) != 1 || models.Data[0].ID != "tinybee" {
		t.Errorf("it sees %+v, %v; want its one model", models, err)
	}
}
