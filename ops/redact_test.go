package ops_test

import (
	"encoding/json"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAnOperationIsShownWithoutTheSecretsOfItsURLs(t *testing.T) {
	for op, want := range map[string]string{
		`{"model":"http://bee:s3cr%40et@host:80/x.gguf?a=b@c"}`:                                                 `{"model":"http://bee:xxxxx@host:80/x.gguf?a=b@c"}`,
		`{"from":"https:\/\/:pw@host\/x","id":"a"}`:                                                             `{"from":"https:\/\/:xxxxx@host\/x","id":"a"}`,
		`{"model":"https://bee@host/x.gguf"}`:                                                                   `{"model":"https://bee@host/x.gguf"}`,
		`{"model":"https://host:80/x@1:2@3.gguf"}`:                                                              `{"model":"https://host:80/x@1:2@3.gguf"}`,
		`{"model":"https://host/x.gguf?raw=1&token=abc"}`:                                                       `{"model":"https://host/x.gguf?raw=1&token=xxxxx"}`,
		`{"model":"https://host/x?X-Amz-Credential=a%2Fb\u0026X-Amz-Date=2\u0026x-amz-signature=0fe\u0026n=1"}`: `{"model":"https://host/x?X-Amz-Credential=xxxxx\u0026X-Amz-Date=2\u0026x-amz-signature=xxxxx\u0026n=1"}`,
		`{"model":"https:\/\/me:pw@host\/x?api_key=a\/b;sig=c"}`:                                                `{"model":"https:\/\/me:xxxxx@host\/x?api_key=xxxxx;sig=xxxxx"}`,
		`{"model":"https://host/token=1/x.gguf?tokens=3&design=a"}`:                                             `{"model":"https://host/token=1/x.gguf?tokens=3&design=a"}`,
		`{"prompt":"what is ?key=5","id":"a"}`:                                                                  `{"prompt":"what is ?key=5","id":"a"}`,
		`{"prompt":"mail me: bee@hive.org"}`:                                                                    `{"prompt":"mail me: bee@hive.org"}`,
	} {
		if got := string(ops.Redact(json.RawMessage(op))); got != want {
			t.Errorf("%s is shown as %s", op, got)
		}
	}
}
