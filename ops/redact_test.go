package ops_test

import (
	"encoding/json"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAnOperationIsShownWithoutThePasswordsOfItsURLs(t *testing.T) {
	for op, want := range map[string]string{
		`{"model":"http://bee:s3cr%40et@host:80/x.gguf?a=b@c"}`: `{"model":"http://bee:xxxxx@host:80/x.gguf?a=b@c"}`,
		`{"from":"https:\/\/:pw@host\/x","id":"a"}`:             `{"from":"https:\/\/:xxxxx@host\/x","id":"a"}`,
		`{"model":"https://bee@host/x.gguf"}`:                   `{"model":"https://bee@host/x.gguf"}`,
		`{"model":"https://host:80/x@1:2@3.gguf"}`:              `{"model":"https://host:80/x@1:2@3.gguf"}`,
		`{"prompt":"mail me: bee@hive.org"}`:                    `{"prompt":"mail me: bee@hive.org"}`,
	} {
		if got := string(ops.Redact(json.RawMessage(op))); got != want {
			t.Errorf("%s is shown as %s", op, got)
		}
	}
}
