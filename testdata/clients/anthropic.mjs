// Anthropic's own client at a queen, whose address is the first argument: a
// plain, a streaming, a tool and an error case, models and counting. The models
// are those of openai.mjs.
import assert from "node:assert/strict";
import Anthropic, { APIError, BadRequestError, NotFoundError } from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const story = { model: "tinybee", max_tokens: 12, temperature: 0, messages: [{ role: "user", content: "Once upon a time" }] };

const whole = await client.messages.create(story);
assert.ok(whole.content[0].text);
assert.equal(whole.stop_reason, "max_tokens");
assert.ok(whole.usage.output_tokens > 0);

const stream = client.messages.stream(story);
let text = "";
stream.on("text", (piece) => (text += piece));
const message = await stream.finalMessage();
assert.equal(text, whole.content[0].text);
assert.equal(message.content[0].text, text);
assert.equal(message.usage.input_tokens, whole.usage.input_tokens);

const tools = [{ name: "weather", input_schema: { type: "object", properties: { city: { type: "string" } } } }];
const question = { model: "toolbee", max_tokens: 50, tools, messages: [{ role: "user", content: "What is the weather in Paris?" }] };
const called = await client.messages.create(question);
const use = called.content.find((block) => block.type === "tool_use");
assert.equal(called.stop_reason, "tool_use");
assert.deepEqual([use.name, use.input], ["weather", { city: "Paris" }]);
const answered = await client.messages.create({
  ...question,
  messages: [...question.messages, { role: "assistant", content: called.content },
    { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "sunny" }] }],
});
assert.equal(answered.content[0].text, "It is sunny.");
const streamed = await client.messages.stream(question).finalMessage();
assert.deepEqual(streamed.content.find((block) => block.type === "tool_use").input, { city: "Paris" });
assert.equal(streamed.stop_reason, "tool_use");

const puzzle = { model: "toolbee", max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1024 }, messages: [{ role: "user", content: "Think" }] };
const thought = await client.messages.stream(puzzle).finalMessage();
assert.deepEqual(thought.content.map((block) => block.thinking ?? block.text), ["Hm, so. ", "It is Think."]);
const further = await client.messages.create({ ...puzzle, messages: [...puzzle.messages, { role: "assistant", content: thought.content }, { role: "user", content: "Think" }] });
assert.equal(further.content[0].thinking, "Hm, Hm, so. so.");
assert.equal((await client.messages.create({ ...puzzle, thinking: { type: "disabled" } })).content.length, 1);
await assert.rejects(client.messages.create({ ...puzzle, max_tokens: 9 }), (e) => e instanceof BadRequestError && /budget_tokens/.test(e.message));

const counted = await client.messages.countTokens({ model: "tinybee", messages: story.messages });
assert.equal(counted.input_tokens, whole.usage.input_tokens);

const models = [];
for await (const model of client.models.list()) models.push(model);
assert.ok(models.some((model) => model.id === "tinybee" && model.type === "model" && model.display_name), JSON.stringify(models));
assert.equal((await client.models.retrieve("tinybee")).id, "tinybee");

await assert.rejects(client.messages.create({ ...story, model: "tinybea" }), (e) =>
  e instanceof NotFoundError && e.error.error.type === "not_found_error" && /tinybee/.test(e.message));
await assert.rejects(client.models.retrieve("tinybea"), (e) => e instanceof NotFoundError && e.error.error.type === "not_found_error");
await assert.rejects(client.messages.create({ ...story, max_tokens: 0 }), (e) =>
  e instanceof BadRequestError && e.error.error.type === "invalid_request_error" && /max_tokens/.test(e.message));
for (const how of ["Break off.", "Break off in a call.", "Break off in a piece.", "Break off late.", "Break off tidily."]) {
  const broken = { ...question, messages: [{ role: "user", content: how }] };
  await assert.rejects(client.messages.stream(broken).finalMessage(), (e) => e instanceof APIError && /broke .*off/.test(e.message), how);
  await assert.rejects(async () => {
    for await (const event of await client.messages.create({ ...broken, stream: true })) assert.notEqual(event.type, "message_stop", how);
  }, (e) => e instanceof APIError && /broke .*off/.test(e.message), how);
}
console.log("anthropic: all is well");
