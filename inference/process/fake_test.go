package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// serveAs is the program: a server on the socket or address that is its first
// argument. The words in how say what is wrong with it.
func serveAs(how string) int {
	has := func(word string) bool { return strings.Contains(how, word) }
	fmt.Println("0.00.000.001 I fake: starting")
	if has("stubborn") {
		signal.Ignore(syscall.SIGTERM)
	}
	if has("family") { // a child of its own, which holds the output open
		child := exec.Command("sleep", "3600")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 9
		}
		fmt.Println("child", child.Process.Pid)
	}
	if has("broken") {
		fmt.Println("0.00.000.002 E fake: failed to load model")
		return 7
	}
	if flag, ok := strings.CutPrefix(how, "once:"); ok { // the second start fails
		if os.Mkdir(flag, 0o700) != nil {
			fmt.Println("fatal: not twice")
			return 8
		}
	}
	if has("deaf") {
		time.Sleep(time.Hour)
	}
	network := "unix"
	if has("tcp") {
		network = "tcp"
	}
	l, err := net.Listen(network, os.Args[1])
	if err != nil {
		fmt.Println("fatal:", err)
		return 1
	}
	var asked atomic.Int32
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if has("wrong") {
			fmt.Println("0.00.000.007 I fake: code 404, message File not found")
			w.WriteHeader(http.StatusNotFound)
		}
		if has("never") || has("slow") && asked.Add(1) < 4 {
			fmt.Println("0.00.000.006 I fake: GET /health 503")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if has("reader") {
		go func() {
			for p := make([]byte, 1<<20); ; time.Sleep(time.Millisecond) {
				f, _ := os.Open("/dev/zero")
				_, _ = io.ReadFull(f, p)
				_ = f.Close()
			}
		}()
	}
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Key", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	})
	http.HandleFunc("/stream", stream)
	http.HandleFunc("/drop", drop)
	var steps atomic.Int64
	if has("busy") {
		go func() {
			for { // computes for ever
				steps.Add(1)
			}
		}()
	}
	http.HandleFunc("/progress", func(w http.ResponseWriter, _ *http.Request) {
		if has("progress") {
			steps.Add(1)
		}
		fmt.Fprintf(w, "step %d", steps.Load())
	})
	fmt.Println("0.00.000.003 I fake: listening")
	return map[bool]int{true: 0, false: 1}[http.Serve(l, nil) == nil]
}

// drop closes the connection without an answer, or ends the program.
func drop(_ http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("die") {
		fmt.Println("0.00.000.005 E fake: out of memory")
		os.Exit(3)
	}
	panic(http.ErrAbortHandler)
}

// stream sends events until told how to end by the query.
func stream(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	q := r.URL.Query()
	kind := "text/event-stream"
	if q.Has("plain") {
		kind = "text/plain"
	}
	w.Header().Set("Content-Type", kind)
	flush := func(text string) {
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
	}
	if q.Has("unframed") { // its end is that of the connection
		w.Header().Set("Transfer-Encoding", "identity")
	}
	flush("data: {\"n\":1}\n\n")
	switch {
	case q.Has("wait"):
		<-r.Context().Done()
		fmt.Println("0.00.000.004 I fake: given up")
		return
	case q.Has("tick"):
		for range 60 {
			time.Sleep(20 * time.Millisecond)
			flush("data: {\"n\":2}\n\n")
		}
	case q.Has("partial"):
		flush("data: {\"n\"")
	}
	if q.Has("cut") {
		panic(http.ErrAbortHandler)
	}
	if q.Has("die") {
		fmt.Println("0.00.000.005 E fake: out of memory")
		time.Sleep(5 * time.Millisecond) // the event is on its way
		os.Exit(3)
	}
	flush("data: [DONE]\n\n")
}

// fake returns options that run the program; how says how it behaves.
func fake(t *testing.T, how string) Options {
	t.Helper()
	folder, err := os.MkdirTemp("", "rbee-process-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s.sock")
	return Options{
		Name: "fake-server", Pause: func(int) time.Duration { return 0 },
		Prepare: func(context.Context) (Launch, error) {
			_ = os.Remove(socket)
			return Launch{
				Path: os.Args[0], Args: []string{socket}, Env: append(os.Environ(), asServer+"="+how),
				Network: "unix", Address: socket,
			}, nil
		},
	}
}

// run starts the program and ends it with the test.
func run(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// alive reports whether there is a process with the pid, zombies aside.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	return !strings.Contains(string(stat), ") Z ")
}
