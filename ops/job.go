package ops

import (
	"encoding/json"
	"errors"
	"time"
)

// ErrDetached is the cause of a job's context that ends because its daemon is
// restarting. Whoever forwards leaves the forwarded job running: the daemon's
// successor takes it up.
var ErrDetached = errors.New("the daemon is restarting")

// JobState is where a job is in its life. It is queued until it runs, and again
// whenever its work waits for its turn (see [Waits]); completed, failed and cancelled
// are last.
type JobState string

// The states of a job.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobCompleted JobState = "completed"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Finished reports whether the state is a last one.
func (s JobState) Finished() bool {
	return s == JobCompleted || s == JobFailed || s == JobCancelled
}

// Job is what a daemon tells about one of its jobs.
type Job struct {
	ID         string          `json:"id"`
	Operation  string          `json:"operation"`             // the op's name
	Op         json.RawMessage `json:"op"`                    // as submitted, without passwords in URLs; null in a list when it is over 4 KiB and the job has finished
	By         string          `json:"by,omitempty"`          // id of the API key that it was submitted with; absent with the daemon's token
	State      JobState        `json:"state"`                 // see the constants
	Events     uint64          `json:"events"`                // id of the newest event
	CreatedAt  time.Time       `json:"created_at"`            // UTC
	StartedAt  *time.Time      `json:"started_at,omitempty"`  // when it began to run; absent while it is queued for the first time
	FinishedAt *time.Time      `json:"finished_at,omitempty"` // absent until it ends
	Error      *Error          `json:"error,omitempty"`       // only of a failed or cancelled job
}

// Jobs is the answer to a list of jobs, newest first.
type Jobs struct {
	Jobs []Job `json:"jobs"`
}

// Accepted is the answer to a submitted job.
type Accepted struct {
	JobID  string `json:"job_id"`
	SSEURL string `json:"sse_url"` // path of the event stream on the same server
}

// What a daemon says of itself in [Health].
const (
	HealthOK       = "ok"
	HealthStopping = "stopping" // it takes no more jobs
)

// Health is the answer to GET /health. Version and Build tell a keeper whether
// it is of the same build as the daemon.
type Health struct {
	Status  string `json:"status"`  // [HealthOK] or [HealthStopping]
	Mode    string `json:"mode"`    // queen, hive or worker
	Version string `json:"version"` // release, as 0.1.0
	Build   string `json:"build"`   // first 12 hex digits of the binary's SHA-256
	PID     int    `json:"pid"`
}

var jobID = shaped(`^[A-Za-z0-9_-]*$`, 16, 64)

// CheckJobID reports whether a submitter may choose id: 16 to 64 letters,
// digits, underscores and hyphens.
func CheckJobID(id string) error {
	if !jobID.MatchString(id) {
		return Invalid("job_id", "must be 16 to 64 letters, digits, '_' or '-', got %q", clip(id))
	}
	return nil
}
