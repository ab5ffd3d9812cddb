package gateway

import (
	"fmt"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// takenBlocks are the kinds of blocks that OpenAI's API has words for.
var takenBlocks = []string{"text", "image", "tool_use", "tool_result", "thinking"}

// takenRoles are those of messages.
var takenRoles = []string{"user", "assistant", "system"}

// untold refuses what says nothing, and what OpenAI's API has no words for: without that
// the answer would be to another question.
func (a anthropicRequest) untold() error {
	if !slices.ContainsFunc(a.Messages, func(m anthropicMessage) bool { return len(m.Content) > 0 }) {
		return ops.Invalid("messages", "must have at least one message, with content")
	}
	if f := a.format(); f != nil && f.Type != "json_schema" {
		return ops.Invalid("output_config.format.type", "must be json_schema, got %q", f.Type)
	} else if f != nil && (len(f.Schema) == 0 || f.Schema[0] != '{') {
		return ops.Invalid("output_config.format.schema", "must be an object")
	}
	if err := a.foreignTools(); err != nil {
		return err
	}
	if err := a.checkChoice(); err != nil {
		return err
	}
	for i, m := range a.Messages {
		if !slices.Contains(takenRoles, m.Role) {
			return ops.Invalid(fmt.Sprintf("messages.%d.role", i), "must be user, assistant or system, got %q", m.Role)
		}
		if err := m.Content.check(fmt.Sprintf("messages.%d.content", i), takenBlocks); err != nil {
			return err
		}
	}
	return a.System.check("system", takenBlocks[:1])
}

// checkChoice refuses a tool_choice that is none.
func (a anthropicRequest) checkChoice() error {
	c := a.ToolChoice
	if c == nil {
		return nil
	}
	if _, known := toolChoices[c.Type]; !known {
		return ops.Invalid("tool_choice.type", "must be auto, any, tool or none, got %q", c.Type)
	}
	if c.Type == "tool" && c.Name == "" {
		return ops.Invalid("tool_choice.name", "must be given: it says which tool")
	}
	return nil
}

// foreignTools refuses the tools that Anthropic's API has by itself: no engine knows
// what they take, and nobody here runs them.
func (a anthropicRequest) foreignTools() error {
	if len(a.MCPServers) > 0 {
		return ops.Invalid("mcp_servers", "are not taken here: nobody here calls their tools").
			WithHint("call them yourself, and give the model their tools with an input_schema")
	}
	for i, t := range a.Tools {
		if t.Type != "" && t.Type != "custom" {
			return ops.Invalid(fmt.Sprintf("tools.%d.type", i), "tools of type %q are not taken here: they are Anthropic's own", t.Type).
				WithHint("tools of yours have an input_schema, and the type custom or none")
		}
	}
	return nil
}

// check refuses blocks that are not taken at that place of a request.
func (c anthropicContent) check(place string, taken []string) error {
	for _, b := range c {
		if b.Type == "" {
			return ops.Invalid(place, "each block must have a type")
		}
		if !slices.Contains(taken, b.Type) {
			return ops.Invalid(place, "blocks of type %q are not taken here", b.Type).
				WithHint("taken are: %s", strings.Join(taken, ", "))
		}
		var err error
		switch b.Type {
		case "image":
			err = b.Source.check(place)
		case "tool_result":
			err = b.Content.check(place+" of a tool_result", takenBlocks[:1])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check refuses an image that does not come with the request and has no URL.
func (s anthropicSource) check(place string) error {
	switch {
	case s.Type != "base64" && s.Type != "url":
		return ops.Invalid(place, `the source of an image must be of type base64 or url, got %q`, s.Type)
	case s.Type == "url" && s.URL == "":
		return ops.Invalid(place, "the source of an image must have a url")
	case s.Type == "base64" && (s.Data == "" || s.MediaType == ""):
		return ops.Invalid(place, "the source of an image must have data and a media_type, as image/png")
	}
	return nil
}
