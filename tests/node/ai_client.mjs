// The Vercel AI SDK, as its users use it: `node ai_client.mjs BASE_URL KEY PROVIDER`, where PROVIDER
// is `compatible`, `openai` or `responses`. What goes in and out is told in serving.mjs. The SDK has no call that
// fetches an answer later: its users ask again.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { apiKey, baseURL, serve } from "./serving.mjs";

const openai = createOpenAI({ baseURL, apiKey });
const model = {
  compatible: createOpenAICompatible({ name: "sekisho", baseURL, apiKey }).chatModel,
  openai: openai.chat,
  responses: openai.responses,
}[process.argv[4]];
// Nothing is kept for later turns, and only this makes the SDK send what it got before once more.
const providerOptions = { openai: { store: false } };
const inputSchema = jsonSchema({
  type: "object",
  properties: { customer: { type: "integer" } },
});

async function said(job, asked) {
  if (!job.stream) {
    const { text, finishReason } = await generateText(asked);
    return { text, finish: finishReason };
  }
  const seen = { text: "", finish: "" };
  for await (const part of streamText({ ...asked, onError: () => {} }).fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "start-step") seen.text = "";
    if (part.type === "text-delta") seen.text += part.text;
    if (part.type === "finish") seen.finish = part.finishReason;
  }
  return seen;
}

const ask = (job) => said(job, { model: model("ok"), prompt: job.text });

function agent(job, ran) {
  const tools = job.tools.map((name) => [
    name,
    tool({
      inputSchema,
      execute: ({ customer }) => {
        ran.push(name);
        return `${name} ${customer}`;
      },
    }),
  ]);
  return said(job, {
    model: model("agent"),
    prompt: job.text,
    providerOptions,
    tools: Object.fromEntries(tools),
    stopWhen: isStepCount(3),
  });
}

serve({ ask, agent });
