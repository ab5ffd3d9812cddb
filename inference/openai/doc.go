// Package openai is the HTTP side of an engine that runs in this process: the
// wire types of OpenAI's chat completions, completions and models, and a
// handler that serves them from a [Generator].
//
// Unknown fields are accepted, as all servers of this API do; wrong types and
// values out of range are refused by name. A failure after the first byte is an
// error chunk in the stream, so a stream never just ends. Engines that are
// servers themselves are proxied instead and do not come through here.
package openai
