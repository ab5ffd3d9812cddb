package command

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asServer in the environment makes the test binary a server program on the port
// that is its first argument; its value says of which kind.
const asServer = "RBEE_TEST_SERVER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(asServer); kind != "" {
		os.Exit(serveAs(kind, os.Args[1]))
	}
	goleak.VerifyTestMain(m)
}

// serveAs is a server that tells how many tokens a request may hold, one that does not,
// or one that loads its model for ever.
func serveAs(kind, port string) int {
	http.HandleFunc("/v1/models", func(w http.ResponseWriter, _ *http.Request) {
		if kind == "silent" {
			fmt.Fprint(w, `{"data":[{"id":"x"}]}`)
			return
		}
		fmt.Fprint(w, `{"data":[{"id":"x","max_model_len":1234}]}`)
	})
	if kind == "loading" {
		fmt.Println("reading shard 1 of 3")
		http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	}
	fmt.Println(http.ListenAndServe("127.0.0.1:"+port, nil)) //nolint:gosec // a test's, ended with it
	return 1
}
