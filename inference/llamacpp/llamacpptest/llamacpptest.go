// Package llamacpptest gives tests a real llama-server, from the folder that
// testdata/llamacpp/root.sh makes.
package llamacpptest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// RootEnv names the folder in the environment.
const RootEnv = "RBEE_LLAMACPP_ROOT"

// Program returns the path of a program called llama-server, in a folder of its
// own, that runs the one in the folder on this system: with the C library that
// it was built for. Without such a folder the test is skipped, but in CI it
// fails.
func Program(t testing.TB) string {
	t.Helper()
	return program(t, "llama-server")
}

// RPC is [Program] for rpc-server, which holds parts of models.
func RPC(t testing.TB) string {
	t.Helper()
	return program(t, "rpc-server")
}

// Splitter is [Program] for llama-gguf-split, which divides a model's file.
func Splitter(t testing.TB) string {
	t.Helper()
	return program(t, "llama-gguf-split")
}

// Root returns the folder, which is a whole system with a real llama.cpp and an
// SSH server. Without it the test is skipped, but in CI it fails.
func Root(t testing.TB) string {
	t.Helper()
	root := os.Getenv(RootEnv)
	if root == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI needs %s: see testdata/llamacpp/root.sh", RootEnv)
		}
		t.Skipf("no llama.cpp to run: set %s, see testdata/llamacpp/root.sh", RootEnv)
	}
	return root
}

// program makes the program called name.
func program(t testing.TB, name string) string {
	t.Helper()
	root := Root(t)
	one(t, filepath.Join(root, "usr/bin", name))
	loader := one(t, filepath.Join(root, "lib64", "ld-linux-x86-64.so.2"), filepath.Join(root, "lib", "ld-linux-aarch64.so.1"))
	libraries := filepath.Dir(one(t, filepath.Join(root, "usr/lib/*-linux-gnu/libggml.so.0")))
	backends := one(t, filepath.Join(libraries, "ggml", "backends*"))
	path := filepath.Join(t.TempDir(), name)
	// ggml looks for its backends beside the program, which is the loader
	// here, and in the working folder.
	script := fmt.Sprintf("#!/bin/sh\ncd '%s' && exec '%s' --library-path '%s:%s/llama' '%s/usr/bin/%s' \"$@\"\n",
		backends, loader, libraries, libraries, root, name)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// one is the first file that there is.
func one(t testing.TB, patterns ...string) string {
	t.Helper()
	for _, p := range patterns {
		if found, err := filepath.Glob(p); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	t.Fatalf("there is none of %v", patterns)
	return ""
}
