package modes_test

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// BenchmarkSwitch measures a request for a model that no worker has loaded, while
// another one's worker is there, to the first byte of its text: the choice, the
// process, and an engine that is ready at once. The same request to a worker that
// is there is what it is compared with.
func BenchmarkSwitch(b *testing.B) {
	c := newChain(b, "0s", 1)
	if _, err := transport.Call(b.Context(), c.queen, ops.ModelDownload{Model: absolute("../testdata/tinybee.gguf"), ID: "other"}); err != nil {
		b.Fatal(err)
	}
	first := func(model string) time.Duration {
		began := time.Now()
		body, _, err := c.queen.Open(b.Context(), "/v1/completions", map[string]any{"model": model, "prompt": "Once", "max_tokens": 1, "stream": true})
		if err != nil {
			b.Fatal(err)
		}
		defer body.Close()
		took := time.Duration(0)
		lines := bufio.NewScanner(body)
		for lines.Scan() {
			if took == 0 && strings.HasPrefix(lines.Text(), "data: ") {
				took = time.Since(began)
			}
			if strings.Contains(lines.Text(), `"error"`) {
				b.Fatal(lines.Text())
			}
		}
		return took
	}
	var cold, warm []time.Duration
	for b.Loop() {
		cold = append(cold, first("other"))
		warm = append(warm, first("other"))
		list, err := transport.Call(b.Context(), c.queen, ops.WorkerList{})
		if err != nil {
			b.Fatal(err)
		}
		for _, w := range list.Workers {
			if w.Model != "other" {
				continue
			}
			if _, err := transport.Call(b.Context(), c.queen, ops.WorkerDelete{OnHive: ops.OnHive{HiveID: w.HiveID}, ID: w.ID}); err != nil {
				b.Fatal(err)
			}
		}
	}
	report(b, cold)
	b.ReportMetric(float64(median(warm).Microseconds())/1000, "ms/warm")
}
