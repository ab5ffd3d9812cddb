package builtin

import (
	"testing"

	"rbee.dev/rbee/inference/template"
	"rbee.dev/rbee/ops"
)

func TestATemplatesErrorSaysWhoseFaultItIs(t *testing.T) {
	for source, want := range map[string]ops.Code{
		"{{ raise_exception('roles must alternate') }}": ops.CodeInvalid,
		"{{ messages.nothing() }}":                      ops.CodeUnsupported,
	} {
		chat, err := template.Parse(source, "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = chat.Render(t.Context(), []template.Message{{Role: "user", Content: "Hi"}}, nil)
		if err == nil {
			t.Fatalf("%s works", source)
		}
		if got := templateError(t.Context(), err); ops.CodeOf(got) != want {
			t.Errorf("%s: %v (%s), want %s", source, got, ops.CodeOf(got), want)
		}
	}
}
