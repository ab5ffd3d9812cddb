package template_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rbee.dev/rbee/inference/template"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var conversation = []template.Message{
	{Role: "system", Content: "Be brief."},
	{Role: "user", Content: "Hi"},
	{Role: "assistant", Content: "<think>hm</think>\n\nHello"},
	{Role: "user", Content: "Bye "},
}

func TestRender(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{
			"ChatML", template.ChatML,
			"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>hm</think>\n\nHello<|im_end|>\n<|im_start|>user\nBye <|im_end|>\n<|im_start|>assistant\n",
		},
		{"slices, namespaces and methods", `
{%- set ns = namespace(n=0) %}
{%- if messages[0]['role'] == 'system' %}{{ '[' + messages[0]['content'].strip() + ']' }}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}
{%- for m in rest %}
    {%- set ns.n = ns.n + 1 %}
    {%- if '</think>' in m.content %}
        {%- set text = m.content.split('</think>')[-1].lstrip('\n') %}
    {%- else %}
        {%- set text = m.content | trim %}
    {%- endif %}
    {{- m.role.upper() + ':' + text + ';' }}
{%- endfor %}
{{- ns.n }}`, "[Be brief.]USER:Hi;ASSISTANT:Hello;USER:Bye;3"},
		{"tokens and undefined names", "{{ bos_token }}{% if tools is defined and tools %}T{% endif %}{% for m in messages[::-1] %}{{ loop.index0 }}{{ m['role'][0] }}{% endfor %}{{ eos_token }}", "<s>0u1a2u3s</s>"},
		{"a loop that is left early", "{% for i in range(3) %}{{ i }}{% if loop.last %}!{% endif %}{% endfor %}", "012!"},
		{"macros and what calls them", "{% macro f(x) %}[{{ x }}{{ caller() if caller is defined }}]{% endmacro %}{% call f(1) %}x{% endcall %}{% macro g(n) %}{{ n }}{% if n %}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ f(2) }}{{ g(3) }}", "[1x][2]3210"},
		{"tojson", "{{ messages[1]['content'] | tojson }}", `"Hi"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := template.Parse(tt.source, "<s>", "</s>")
			if err != nil {
				t.Fatal(err)
			}
			got, err := tmpl.Render(t.Context(), conversation, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaultyTemplatesAreErrors(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"unfinished", "{% for m in messages %}", ""},
		{"raise_exception", "{{ raise_exception('roles must alternate') }}", "roles must alternate"},
		{"reads a file", "{% include '/etc/passwd' %}", ""},
		{"includes itself", "{% include '/chat_template' %}", ""},
		{"a long one", "{% if x %}" + strings.Repeat("word ", 2000) + "{% elsif %}", "controlStructure"},
		{"long in the middle", "{{ " + strings.Repeat("'word' ~ ", 2000) + "}}", ""},
		{"endless range", "{% for i in range(0, 1000000000) %}x{% endfor %}", "range"},
		{"one that says nothing", "{% if false %}x{% endif %}", "makes nothing"},
		{"a macro that calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "more than 200 times"},
		{"macros that call each other", "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", ""},
		{"a macro and its caller", "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}", ""},
		{"a loop that calls itself", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := template.Parse(tt.source, "", "")
			if err == nil {
				_, err = tmpl.Render(t.Context(), conversation, nil)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 300 {
				t.Errorf("got %v, want a short error with %q", err, tt.want)
			}
		})
	}
}

func TestATemplateIsGivenItsOwnVariables(t *testing.T) {
	tmpl, err := template.Parse("{{ messages[1].content }}{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	for want, more := range map[string]map[string]any{
		"Hi": nil, "Hi<think></think>": {"enable_thinking": false, "messages": "no others"},
	} {
		if got, err := tmpl.Render(t.Context(), conversation, more); err != nil || got != want {
			t.Errorf("with %v it is %q, %v", more, got, err)
		}
	}
}

// TestARenderingEndsWithItsContext: a template that computes for ever, or for long, holds
// nobody up who has gone.
func TestARenderingEndsWithItsContext(t *testing.T) {
	const endless = "{% for i in range(100000) %}{% for j in range(100000) %}{% for k in range(100000) %}{% endfor %}{% endfor %}{% endfor %}"
	tmpl, err := template.Parse(endless, "", "")
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("somebody has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
	if _, err := tmpl.Render(ctx, conversation, nil); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if _, err := tmpl.Render(t.Context(), conversation, nil); err == nil || !strings.Contains(err.Error(), "takes more than 5s") {
		t.Errorf("got %v", err)
	}
}

func TestATemplateThatRefusesAConversationIsToldFromAFaultyOne(t *testing.T) {
	for source, refuses := range map[string]bool{
		"{{ raise_exception('roles must alternate') }}":                                                 true,
		"{% macro f() %}{{ raise_exception('no') }}{% endmacro %}{{ f() }}":                             true,
		"{% for m in messages %}{{ raise_exception(m.role) }}{% endfor %}":                              true,
		"{{ messages[0].content.nothing() }}":                                                           false,
		"{% macro f(x) %}{{ x }}{% endmacro %}{% for m in messages %}{{ f(m.content, 1) }}{% endfor %}": false,
	} {
		tmpl, err := template.Parse(source, "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = tmpl.Render(t.Context(), conversation, nil)
		if _, ok := errors.AsType[template.RefusedError](err); err == nil || ok != refuses {
			t.Errorf("%s: %v", source, err)
		}
	}
}
