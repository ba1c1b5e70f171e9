"""The openai package and its Responses API: `openai_responses_client.py BASE_URL KEY`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
from serving import BASE_URL, KEY, Job, serve

responses = openai.OpenAI(base_url=BASE_URL, api_key=KEY).responses


def _turn(job: Job, **asked: Any) -> Any:
    """One response; streamed by the package's own helper, which puts the events together."""
    if not job["stream"]:
        return responses.create(**asked)
    with responses.stream(**asked) as stream:
        said = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        whole = stream.get_final_response()
    if said != whole.output_text:
        raise RuntimeError(f"streamed {said!r}, then told {whole.output_text!r}")
    return whole


def _ask(job: Job) -> dict[str, Any]:
    return _shown(_turn(job, model="ok", input=job["text"]))


def _agent(job: Job, ran: list[str]) -> dict[str, Any]:
    """A loop as its guide has it; at most three turns."""
    items: list[Any] = [{"role": "user", "content": job["text"]}]
    tools = [
        {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False}
        for name in job["tools"]
    ]
    for _ in range(3):
        whole = _turn(job, model="agent", input=items, tools=tools)
        calls = [item for item in whole.output if item.type == "function_call"]
        if not calls:
            return _shown(whole)
        items += [item.model_dump(exclude={"parsed_arguments"}) for item in whole.output]
        for call in calls:
            ran.append(call.name)
            result = f"{call.name} {json.loads(call.arguments)['customer']}"
            items.append(
                {"type": "function_call_output", "call_id": call.call_id, "output": result}
            )
    raise RuntimeError("the agent never came to an end")


def _shown(whole: Any) -> dict[str, Any]:
    called = [item.name for item in whole.output if item.type == "function_call"]
    return {"text": whole.output_text, "finish": whole.status, "called": called}


async def ask(job: Job, ran: list[str]) -> dict[str, Any]:
    return await asyncio.to_thread(_ask, job)


async def agent(job: Job, ran: list[str]) -> dict[str, Any]:
    return await asyncio.to_thread(_agent, job, ran)


async def retrieve(job: Job, ran: list[str]) -> dict[str, Any]:
    return _shown(await asyncio.to_thread(responses.retrieve, job["result_id"]))


serve({"ask": ask, "agent": agent, "retrieve": retrieve})
