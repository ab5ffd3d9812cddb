package job_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// daemon is a job server behind a real HTTP listener.
type daemon struct {
	*job.Server[ops.HiveOp]
	web *httptest.Server
	t   *testing.T
}

type work = func(ctx context.Context, o ops.HiveOp) (any, error)

// serve starts a daemon that does its operations by run. change may adjust its
// options.
func serve(t *testing.T, run work, change func(*job.Options[ops.HiveOp])) *daemon {
	t.Helper()
	d := begin(t, run, change)
	t.Cleanup(d.close)
	return d
}

// begin is serve for a daemon that the test closes itself.
func begin(t *testing.T, run work, change func(*job.Options[ops.HiveOp])) *daemon {
	t.Helper()
	o := job.Options[ops.HiveOp]{Mode: "hive", Version: "1", Build: "b", Run: run, Dir: t.TempDir(), Log: zerolog.Nop()}
	if change != nil {
		change(&o)
	}
	s, err := job.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return &daemon{Server: s, web: httptest.NewServer(s), t: t}
}

func (d *daemon) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		d.t.Error(err)
	}
	d.web.Close()
	http.DefaultClient.CloseIdleConnections()
}

// request sends one request and returns status and body.
func (d *daemon) request(method, path, body string, header ...string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.web.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// submit starts a job and returns its id.
func (d *daemon) submit(body string) string {
	d.t.Helper()
	status, text := d.request(http.MethodPost, "/v1/jobs", body)
	var a ops.Accepted
	if err := json.Unmarshal([]byte(text), &a); status != http.StatusAccepted || err != nil {
		d.t.Fatalf("submit %s: %d %s", body, status, text)
	}
	return a.JobID
}

// job asks for one job.
func (d *daemon) job(id string) ops.Job {
	d.t.Helper()
	status, text := d.request(http.MethodGet, "/v1/jobs/"+id, "")
	var j ops.Job
	if err := json.Unmarshal([]byte(text), &j); status != http.StatusOK || err != nil {
		d.t.Fatalf("job %s: %d %s", id, status, text)
	}
	return j
}

// frame is one event as it came.
type frame struct {
	id         uint64
	kind, data string
}

// read reads a job's stream from after, with plain net/http, until it ends or
// most events have come.
func (d *daemon) read(ctx context.Context, id string, after uint64, most int) ([]frame, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.web.URL+"/v1/jobs/"+id+"/stream", nil)
	if err != nil {
		return nil, err
	}
	if after > 0 {
		r.Header.Set("Last-Event-ID", strconv.FormatUint(after, 10))
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var frames []frame
	var now frame
	lines := bufio.NewReader(answer.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return frames, err
		}
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "id":
			now.id, _ = strconv.ParseUint(value, 10, 64)
		case "event":
			now.kind = value
		case "data":
			now.data = value
		case "":
			if now.id > 0 {
				frames = append(frames, now)
			}
			now = frame{}
			if len(frames) == most {
				return frames, nil
			}
		}
	}
}

// all reads a whole stream.
func (d *daemon) all(id string) []frame {
	d.t.Helper()
	frames, err := d.read(d.t.Context(), id, 0, -1)
	if err != nil {
		d.t.Fatal(err)
	}
	return frames
}

const infer = `{"operation":"infer","prompt":"x"}`
