package worker

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/job/jobtest"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/transport"
)

// TestNoWebPageReachesAWorker holds it for every route that a worker can have, one
// whose model is divided and one that holds a part included.
func TestNoWebPageReachesAWorker(t *testing.T) {
	folder := t.TempDir()
	never := func(ctx context.Context, _ inference.Spec) (inference.Engine, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	w, err := New(Options{
		ID: "w1", Hive: "localhost", Model: "fake", Path: "/fake.gguf", Parts: []string{"gpu2"}, PartOf: "gpu1/w2",
		Folder: folder, Engines: map[string]Open{"builtin": never}, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	overSocket := &http.Client{Transport: &http.Transport{DialContext: transport.Unix(filepath.Join(folder, home.WorkerSocket)).DialContext}}
	defer overSocket.CloseIdleConnections()
	answer, err := overSocket.Get("http://localhost/health") //nolint:noctx // it waits until the worker serves
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	jobtest.Door{URL: "http://localhost", Client: overSocket, Routes: w.jobs.Routes()}.HoldsOff(t)
}
