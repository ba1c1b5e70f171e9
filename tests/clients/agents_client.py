"""openai-agents, as its users use it: `agents_client.py BASE_URL KEY [responses]`.

The package has no call that fetches an answer later: its users run the agent again. It does not
tell why an answer ended either.
"""

from __future__ import annotations

import json
from typing import Any

from agents import (
    Agent,
    FunctionTool,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from serving import API, BASE_URL, KEY, Job, serve

set_tracing_disabled(disabled=True)  # else it tells OpenAI about every run
client = AsyncOpenAI(base_url=BASE_URL, api_key=KEY)
MODEL = OpenAIResponsesModel if API == "responses" else OpenAIChatCompletionsModel


def _tool(name: str, ran: list[str]) -> FunctionTool:
    async def run(context: Any, arguments: str) -> str:
        ran.append(name)
        return f"{name} {json.loads(arguments)['customer']}"

    return FunctionTool(
        name=name,
        description="",
        params_json_schema={"type": "object", "properties": {"customer": {"type": "integer"}}},
        on_invoke_tool=run,
        strict_json_schema=False,
    )


async def _run(job: Job, model: str, tools: list[Any]) -> dict[str, Any]:
    asked = Agent(
        name="clerk",
        instructions="Be brief.",
        model=MODEL(model=model, openai_client=client),
        tools=tools,
    )
    if not job["stream"]:
        return {"text": (await Runner.run(asked, job["text"])).final_output}
    running = Runner.run_streamed(asked, job["text"])
    async for _ in running.stream_events():
        pass
    return {"text": running.final_output}


async def ask(job: Job, ran: list[str]) -> dict[str, Any]:
    return await _run(job, "ok", [])


async def agent(job: Job, ran: list[str]) -> dict[str, Any]:
    return await _run(job, "agent", [_tool(name, ran) for name in job["tools"]])


serve({"ask": ask, "agent": agent})
