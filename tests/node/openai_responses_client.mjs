// The openai package for Node and its Responses API: `node openai_responses_client.mjs BASE_URL KEY`.
// What goes in and out is told in serving.mjs.

import OpenAI from "openai";
import { apiKey, baseURL, serve } from "./serving.mjs";

const { responses } = new OpenAI({ baseURL, apiKey });

// One response; streamed by the package's own helper, which puts the events together.
async function turn({ stream }, asked) {
  if (!stream) return responses.create(asked);
  return responses.stream(asked).finalResponse();
}

const calls = ({ output }) => output.filter(({ type }) => type === "function_call");

function shown(whole) {
  const called = calls(whole).map(({ name }) => name);
  return { text: whole.output_text, finish: whole.status, called };
}

const ask = async (job) => shown(await turn(job, { model: "ok", input: job.text }));

async function agent(job, ran) {
  const input = [{ role: "user", content: job.text }];
  const tools = job.tools.map((name) => ({
    type: "function",
    name,
    parameters: { type: "object" },
    strict: false,
  }));
  for (let left = 3; left > 0; left -= 1) {
    const whole = await turn(job, { model: "agent", input, tools });
    if (calls(whole).length === 0) return shown(whole);
    input.push(...whole.output.map(({ parsed_arguments, ...item }) => item));
    for (const { name, call_id, arguments: said } of calls(whole)) {
      ran.push(name);
      const output = `${name} ${JSON.parse(said).customer}`;
      input.push({ type: "function_call_output", call_id, output });
    }
  }
  throw new Error("the agent never came to an end");
}

const retrieve = async ({ result_id }) => shown(await responses.retrieve(result_id));

serve({ ask, agent, retrieve });
