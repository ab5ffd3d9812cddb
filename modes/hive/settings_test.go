package hive

import (
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

func TestWhatAnEngineWouldRefuseIsRefusedBeforeThereIsAWorker(t *testing.T) {
	t.Setenv(llamacpp.PathEnv, llamacpp.None)
	h := &Hive{Options: Options{Name: "far"}}
	m := ops.Model{ID: "bee", Context: 512}
	for _, c := range []struct {
		name string
		w    want
		says string // "" is taken
	}{
		{"a flag that is none", want{engine: llamaCpp, model: m, flags: []string{"flash-atn=on"}}, "did you mean --flash-attn"},
		{"a flag that opens a file", want{engine: llamaCpp, model: m, flags: []string{"lora=x"}}, "is not passed on"},
		{"a flag that is taken", want{engine: llamaCpp, model: m, flags: []string{"flash-attn=on"}}, ""},
		{"a flag for the builtin engine", want{engine: builtin, model: m, flags: []string{"flash-attn=on"}}, "the engine builtin takes none"},
		{"a flag for a line", want{engine: command, model: m, command: "serve {socket}", flags: []string{"jinja"}}, "write it into the command line"},
		{"a line that listens nowhere", want{engine: command, model: m, command: "serve {model}"}, "either {socket} or {port}"},
		{"a line that listens twice", want{engine: command, model: m, command: "serve {socket} {port}"}, "not both"},
		{"a line", want{engine: command, model: m, command: "serve {socket}", context: 4096}, ""},
		{"too long a context", want{engine: builtin, device: "cpu", model: m, context: 513}, "`rbee worker spawn bee --hive far"},
		{"too long a context for llama.cpp", want{engine: llamaCpp, model: m, context: 513}, "--context-length 512` is the most"},
		{"a context that is stretched", want{engine: llamaCpp, model: m, context: 1024, flags: []string{"rope-scale=2"}}, ""},
		{"the longest", want{engine: builtin, model: m, context: 512}, ""},
		{"a model that says no length", want{engine: llamaCpp, context: 1 << 20}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := h.checkSettings(c.w)
			if c.says == "" && err == nil {
				return
			}
			wantCode(t, err, ops.CodeInvalid)
			if e := ops.AsError(err); c.says == "" || !strings.Contains(e.Message+" "+e.Hint, c.says) {
				t.Errorf("it says %q, %q", e.Message, e.Hint)
			}
		})
	}
}
