package job

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/ops"
)

// TestNothingIsForgottenOfACompactedJob holds for fields that are added later,
// too: each is either copied, or named here as one that only a running job
// needs.
func TestNothingIsForgottenOfACompactedJob(t *testing.T) {
	now := time.Now()
	j := &job{
		id: "id", operation: "infer", by: "key", digest: [32]byte{1}, created: now,
		log: &eventLog{path: "p", last: 3, written: 3, ended: true},
		op:  json.RawMessage(`{}`), state: ops.JobFailed, started: &now, finished: &now, err: &ops.Error{Code: ops.CodeInternal},
	}
	running := map[string]bool{"log": true, "logger": true, "cancel": true, "mu": true, "progress": true}
	before, after := reflect.ValueOf(j).Elem(), reflect.ValueOf(j.compacted(zerolog.Nop())).Elem()
	for i := range before.NumField() {
		name := before.Type().Field(i).Name
		if running[name] {
			continue
		}
		if before.Field(i).IsZero() {
			t.Errorf("this test leaves %s out: set it, or name it as one of a running job's", name)
		}
		if after.Field(i).IsZero() {
			t.Errorf("%s is forgotten", name)
		}
	}
}
