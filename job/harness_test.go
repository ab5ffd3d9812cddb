package job_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/job/jobtest"
	"rbee.dev/rbee/ops"
)

// daemon is a job server behind a real listener, and a client of it.
type daemon struct {
	*jobtest.Server[ops.HiveOp]
	client http.Client
	t      testing.TB
}

type work = func(ctx context.Context, o ops.HiveOp) (any, error)

// serve starts a daemon that does its operations by run. change may adjust its
// options.
func serve(t testing.TB, run work, change ...func(*job.Options[ops.HiveOp])) *daemon {
	t.Helper()
	connections := &http.Transport{}
	d := &daemon{Server: jobtest.Serve(t, run, change...), client: http.Client{Transport: connections}, t: t}
	t.Cleanup(connections.CloseIdleConnections) // before the server closes
	return d
}

// Restart is the server's. No request goes to the one before it.
func (d *daemon) Restart(run work) {
	d.t.Helper()
	d.Server.Restart(run)
	d.client.CloseIdleConnections()
}

// request sends one request and returns status and body.
func (d *daemon) request(method, path, body string, header ...string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.URL+path, strings.NewReader(body))
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
	answer, err := d.client.Do(r)
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

// list asks for all jobs.
func (d *daemon) list() []ops.Job {
	d.t.Helper()
	status, text := d.request(http.MethodGet, "/v1/jobs", "")
	var list ops.Jobs
	if err := json.Unmarshal([]byte(text), &list); status != http.StatusOK || err != nil {
		d.t.Fatalf("jobs: %d %s", status, text)
	}
	return list.Jobs
}

// frame is one event as it came.
type frame struct {
	id         uint64
	kind, data string
}

// read reads a job's stream from after, with plain net/http, until it ends or
// most events have come.
func (d *daemon) read(ctx context.Context, id string, after uint64, most int) (frames []frame, err error) {
	err = d.eachFrame(ctx, id, after, func(f frame) bool {
		frames = append(frames, f)
		return len(frames) != most
	})
	return frames, err
}

// eachFrame hands see each event of a job's stream behind the one called after,
// until the stream ends or see has enough.
func (d *daemon) eachFrame(ctx context.Context, id string, after uint64, see func(frame) bool) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+"/v1/jobs/"+id+"/stream", nil)
	if err != nil {
		return err
	}
	if after > 0 {
		r.Header.Set("Last-Event-ID", strconv.FormatUint(after, 10))
	}
	answer, err := d.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the stream answers %s", answer.Status)
	}
	var now frame
	lines := bufio.NewReader(answer.Body)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "id":
			now.id, _ = strconv.ParseUint(value, 10, 64)
		case "event":
			now.kind = value
		case "data":
			now.data = value
		case "":
			if now.id > 0 && !see(now) {
				return nil
			}
			now = frame{}
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
