// The openai package for Node, as its users use it: `node openai_client.mjs BASE_URL KEY`.
// What goes in and out is told in serving.mjs.

import OpenAI from "openai";
import { apiKey, baseURL, serve } from "./serving.mjs";

const { completions } = new OpenAI({ baseURL, apiKey }).chat;
const messages = ({ text }) => [{ role: "user", content: text }];

async function ask(job) {
  const asked = { model: "ok", messages: messages(job), stream: job.stream };
  if (!job.stream) {
    const [choice] = (await completions.create(asked)).choices;
    return { text: choice.message.content, finish: choice.finish_reason };
  }
  const seen = { text: "", finish: "" };
  for await (const { choices } of await completions.create(asked)) {
    seen.text += choices[0].delta.content ?? "";
    seen.finish = choices[0].finish_reason ?? seen.finish;
  }
  return seen;
}

// The package's own loop.
async function agent(job, ran) {
  const tools = job.tools.map((name) => ({
    type: "function",
    function: {
      name,
      description: "",
      parameters: { type: "object", properties: { customer: { type: "integer" } } },
      parse: JSON.parse,
      function: ({ customer }) => {
        ran.push(name);
        return `${name} ${customer}`;
      },
    },
  }));
  const runner = completions.runTools({
    model: "agent",
    messages: messages(job),
    tools,
    stream: job.stream,
  });
  const { choices } = await runner.finalChatCompletion();
  return { text: choices[0].message.content, finish: choices[0].finish_reason };
}

async function retrieve({ result_id }) {
  const { message, finish_reason } = (await completions.retrieve(result_id)).choices[0];
  const called = (message.tool_calls ?? []).map((call) => call.function.name);
  return { text: message.content, finish: finish_reason, called };
}

serve({ ask, agent, retrieve });
