// OpenAI's own client at a queen, whose address is the first argument: a plain,
// a streaming, a tool and an error case, embeddings and models. The model
// "tinybee" is a real one, "toolbee" an engine that calls the first tool.
import assert from "node:assert/strict";
import OpenAI, { APIError, NotFoundError } from "openai";

const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "none", maxRetries: 0 });
const story = { model: "tinybee", max_tokens: 12, temperature: 0, messages: [{ role: "user", content: "Once upon a time" }] };

const whole = await client.chat.completions.create(story);
assert.ok(whole.choices[0].message.content);
assert.ok(whole.usage.completion_tokens > 0);

let text = "", pieces = 0;
for await (const chunk of await client.chat.completions.create({ ...story, stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
  pieces++;
}
assert.equal(text, whole.choices[0].message.content);
assert.ok(pieces > 4, `${pieces} pieces`);

const completion = await client.completions.create({ model: "tinybee", prompt: "Once", max_tokens: 3 });
assert.ok(completion.choices[0].text);

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }];
const question = { model: "toolbee", tools, messages: [{ role: "user", content: "What is the weather in Paris?" }] };
const called = await client.chat.completions.create(question);
const call = called.choices[0].message.tool_calls[0];
assert.equal(called.choices[0].finish_reason, "tool_calls");
assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["weather", { city: "Paris" }]);
const answered = await client.chat.completions.create({
  ...question, messages: [...question.messages, called.choices[0].message, { role: "tool", tool_call_id: call.id, content: "sunny" }],
});
assert.equal(answered.choices[0].message.content, "It is sunny.");
const runner = client.chat.completions.stream(question);
const streamed = (await runner.finalChatCompletion()).choices[0].message.tool_calls[0];
assert.deepEqual(JSON.parse(streamed.function.arguments), { city: "Paris" });

const vectors = await client.embeddings.create({ model: "tinybee", input: ["a bee", "a flower"] });
assert.equal(vectors.data.length, 2);
assert.ok(vectors.data[1].embedding.length > 8);

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.ok(models.includes("tinybee") && models.includes("toolbee"), models.join());
assert.equal((await client.models.retrieve("tinybee")).id, "tinybee");

await assert.rejects(client.chat.completions.create({ ...story, model: "tinybea" }), (e) =>
  e instanceof NotFoundError && e.code === "model_not_found" && e.type === "invalid_request_error" && /tinybee/.test(e.message));
await assert.rejects(client.responses.create({ model: "tinybee", input: "Once" }), (e) =>
  e instanceof NotFoundError && /responses/.test(e.error.message));
await assert.rejects(client.images.generate({ model: "tinybee", prompt: "a bee" }), (e) => e instanceof NotFoundError && /images/.test(e.error.message));
for (const how of ["Break off.", "Break off in a call.", "Break off in a piece.", "Break off late.", "Break off tidily."]) {
  await assert.rejects(async () => {
    for await (const _ of await client.chat.completions.create({ ...question, stream: true, messages: [{ role: "user", content: how }] }));
  }, (e) => how.includes("piece") || (e instanceof APIError && /broke .*off/.test(e.message)), how); // of a torn piece the client itself complains
}
console.log("openai: all is well");
