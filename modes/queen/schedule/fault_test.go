package schedule

import (
	"net/http"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// TestWhoIsAskedNextIsOneRule: what an engine answers, and what a worker says of one
// that has ended.
func TestWhoIsAskedNextIsOneRule(t *testing.T) {
	for status := 300; status < 600; status++ {
		want := OfEngine
		switch status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
			want = OfRequest
		}
		for _, body := range []string{"", "<html>", `{"error":{"message":"no","type":"server_error"}}`, `{"error":{"message":"no","type":"invalid_request_error","code":null}}`} {
			if got := FaultOf(transport.EngineError(status, []byte(body))); got != want {
				t.Errorf("%d with %s is %d, want %d", status, body, got, want)
			}
		}
	}
	for body, want := range map[string]Fault{
		`{"error":{"message":"it ended","code":"unavailable"}}`:         OfWorker,
		`{"error":{"message":"boom","code":"internal"}}`:                OfEngine,
		`{"error":{"message":"it hung","code":"timeout"}}`:              OfEngine,
		`{"error":{"message":"too long","code":"invalid"}}`:             OfRequest,
		`{"error":{"message":"too long","code":400}}`:                   OfRequest,
		`{"error":{"message":"no such model","code":404}}`:              OfEngine,
		`{"error":{"message":"too many","code":429}}`:                   OfEngine,
		`{"error":{"message":"no","type":"invalid_request_error"}}`:     OfRequest,
		`{"error":{"message":"CUDA","type":"server_error","code":500}}`: OfEngine,
		`{"error":"dead"}`: OfEngine,
	} {
		if got := FaultOf(transport.EngineError(0, []byte(body))); got != want {
			t.Errorf("in a stream %s is %d, want %d", body, got, want)
		}
	}
	if got := FaultOf(ops.Errorf(ops.CodeUnavailable, "cannot be reached")); got != OfWorker {
		t.Errorf("one that cannot be reached is %d", got)
	}
}

func TestAnErrorSaysOnceWhichWorkerItIsOf(t *testing.T) {
	w := &ops.Worker{ID: "w1", HiveID: "gpu1", Model: "bee"}
	for _, tt := range []struct{ err, want *ops.Error }{
		{err: ops.Errorf(ops.CodeInternal, "boom"), want: ops.Errorf(ops.CodeInternal, "worker w1 of gpu1, which runs bee: boom").WithHint("where it goes on failing, `rbee worker delete w1 --hive gpu1` ends it")},
		{err: ops.Errorf(ops.CodeInternal, "worker w1 of gpu1, which runs bee: boom").WithHint("ask"), want: ops.Errorf(ops.CodeInternal, "worker w1 of gpu1, which runs bee: boom").WithHint("ask")},
		{err: ops.Errorf(ops.CodeUnavailable, "it ended"), want: ops.Errorf(ops.CodeUnavailable, "worker w1 of gpu1, which runs bee: it ended")},
		{err: ops.Invalid("prompt", "too long"), want: ops.Invalid("prompt", "too long")},
	} {
		if got := ByWorker(tt.err, w); got.Code != tt.want.Code || got.Error() != tt.want.Error() || got.Hint != tt.want.Hint {
			t.Errorf("of %+v it is %+v", tt.err, got)
		}
	}
}
