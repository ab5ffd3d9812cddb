// Ollama's own client at a queen, whose address is the first argument: a plain,
// a streaming, a tool and an error case, embeddings, and what there is. The
// models are those of openai.mjs.
import assert from "node:assert/strict";
import { Ollama } from "ollama";

const client = new Ollama({ host: process.argv[2] });
const story = { model: "tinybee", options: { num_predict: 12, temperature: 0 }, messages: [{ role: "user", content: "Once upon a time" }] };

const whole = await client.chat(story);
assert.ok(whole.message.content);
assert.equal(whole.done_reason, "length");
assert.equal(whole.eval_count, 12);

let text = "", last;
for await (const part of await client.chat({ ...story, model: "tinybee:latest", stream: true })) {
  text += part.message.content;
  last = part;
}
assert.equal(text, whole.message.content);
assert.ok(last.done && last.eval_count === 12 && last.total_duration > 0);

const made = await client.generate({ model: "tinybee", prompt: "Once", options: { num_predict: 5, temperature: 0 } });
assert.ok(made.response && made.done);
let generated = "";
for await (const part of await client.generate({ model: "tinybee", prompt: "Once", options: { num_predict: 5, temperature: 0 }, stream: true })) generated += part.response;
assert.equal(generated, made.response);
assert.equal((await client.generate({ model: "tinybee", prompt: "" })).done_reason, "load");

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }];
const question = { model: "toolbee", tools, messages: [{ role: "user", content: "What is the weather in Paris?" }] };
const called = await client.chat(question);
assert.deepEqual(called.message.tool_calls[0].function, { name: "weather", arguments: { city: "Paris" } });
const answered = await client.chat({ ...question, messages: [...question.messages, called.message, { role: "tool", tool_name: "weather", content: "sunny" }] });
assert.equal(answered.message.content, "It is sunny.");
const calls = [];
for await (const part of await client.chat({ ...question, stream: true })) calls.push(...(part.message.tool_calls ?? []));
assert.deepEqual(calls[0].function, { name: "weather", arguments: { city: "Paris" } });

const puzzle = { model: "toolbee", messages: [{ role: "user", content: "Think" }] };
const thought = (await client.chat(puzzle)).message;
assert.deepEqual([thought.thinking, thought.content], ["Hm, so.", "It is Think."]);
let thoughts = "";
for await (const part of await client.chat({ ...puzzle, messages: [...puzzle.messages, thought, ...puzzle.messages], stream: true })) thoughts += part.message.thinking ?? "";
assert.equal(thoughts, "Hm, Hm, so.so. ");
assert.equal((await client.chat({ ...puzzle, think: false })).message.thinking, undefined);
assert.equal((await client.generate({ model: "toolbee", prompt: "Think" })).thinking, "Hm, so.");
await assert.rejects(client.chat({ ...story, think: true }), (e) => e.status_code === 400 && /does not support thinking/.test(e.error));
await assert.rejects(client.chat({ ...puzzle, think: "much" }), (e) => e.status_code === 400 && /think: must be/.test(e.error));

const vectors = await client.embed({ model: "tinybee", input: ["a bee", "a flower"] });
assert.equal(vectors.embeddings.length, 2);
const old = await client.embeddings({ model: "tinybee", prompt: "a flower" });
assert.deepEqual(old.embedding, vectors.embeddings[1]);

const list = await client.list();
assert.ok(list.models.some((model) => model.name === "tinybee:latest" && model.details.family === "llama"), JSON.stringify(list));
const shown = await client.show({ model: "tinybee" });
assert.ok(shown.details.quantization_level === "Q8_0" && shown.capabilities.includes("completion"), JSON.stringify(shown));
const running = await client.ps();
assert.ok(running.models.some((model) => model.name === "tinybee:latest" && model.expires_at), JSON.stringify(running));
assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);

assert.equal((await client.generate({ model: "tinybee", prompt: "", keep_alive: 0 })).done_reason, "unload");
for (let tries = 0; (await client.ps()).models.some((model) => model.name === "tinybee:latest"); tries++) {
  assert.ok(tries < 200, "it is not unloaded");
  await new Promise((later) => setTimeout(later, 50));
}

await assert.rejects(client.chat({ ...story, model: "tinybea" }), (e) => e.status_code === 404 && /tinybee/.test(e.error));
await assert.rejects(client.show({ model: "tinybea" }), (e) => e.status_code === 404 && /tinybee/.test(e.error));
await assert.rejects(client.copy({ source: "tinybee", destination: "other" }), (e) => e.status_code === 404 && /api\/copy/.test(e.error));
for (const how of ["Break off.", "Break off in a call.", "Break off in a piece.", "Break off late.", "Break off tidily."]) {
  await assert.rejects(async () => {
    for await (const part of await client.chat({ ...question, stream: true, messages: [{ role: "user", content: how }] })) assert.ok(!part.done, how);
  }, /broke .*off/, how);
}
console.log("ollama: all is well");
