package hive

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job/jobtest"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/transport"
)

// TestNoWebPageAndNoStrangerReachesAHive holds it for every route that a hive has,
// on both of its listeners.
func TestNoWebPageAndNoStrangerReachesAHive(t *testing.T) {
	files := newFiles(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{Home: files, Name: "localhost", Listen: "127.0.0.1:0", Binary: exe, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	overSocket := &http.Client{Transport: &http.Transport{DialContext: transport.Unix(files.HiveSocket()).DialContext}}
	defer overSocket.CloseIdleConnections()
	overTCP := &http.Client{Transport: &http.Transport{}}
	defer overTCP.CloseIdleConnections()
	port := "http://" + h.tcp.Addr().String()
	for url, c := range map[string]*http.Client{"http://localhost": overSocket, port: overTCP} {
		answer, err := c.Get(url + "/health") //nolint:noctx // it waits until the listener is served
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	token, err := os.ReadFile(files.HiveToken())
	if err != nil {
		t.Fatal(err)
	}
	routes := h.jobs.Routes()
	jobtest.Door{URL: "http://localhost", Client: overSocket, Routes: routes}.HoldsOff(t)
	jobtest.Door{URL: port, Client: overTCP, Routes: routes, Token: strings.TrimSpace(string(token))}.HoldsOff(t)
}

func newFiles(t *testing.T) home.Home {
	t.Helper()
	root := t.TempDir()
	h := home.Home{Config: filepath.Join(root, "config"), State: filepath.Join(root, "state"), Cache: filepath.Join(root, "cache")}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	return h
}
