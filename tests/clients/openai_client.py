"""The openai package for Python, as its users use it: `openai_client.py BASE_URL KEY`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
from serving import BASE_URL, KEY, Job, serve

completions = openai.OpenAI(base_url=BASE_URL, api_key=KEY).chat.completions


def _turn(job: Job, **asked: Any) -> dict[str, Any]:
    """One answer: its text, why it ended, and the calls in it by their place."""
    if not job["stream"]:
        (choice,) = completions.create(**asked).choices
        calls = choice.message.tool_calls or []
        return {
            "text": choice.message.content,
            "finish": choice.finish_reason,
            "calls": [(c.id, c.function.name, c.function.arguments) for c in calls],
        }
    turn: dict[str, Any] = {"text": "", "finish": "", "calls": []}
    for part in completions.create(stream=True, **asked):
        (choice,) = part.choices
        turn["text"] += choice.delta.content or ""
        turn["finish"] = choice.finish_reason or turn["finish"]
        for call in choice.delta.tool_calls or []:
            turn["calls"].append((call.id, call.function.name, call.function.arguments))
    return turn


def _ask(job: Job) -> dict[str, Any]:
    return _turn(job, model="ok", messages=[{"role": "user", "content": job["text"]}])


def _agent(job: Job, ran: list[str]) -> dict[str, Any]:
    """A loop as everybody writes it; at most three turns."""
    messages: list[Any] = [{"role": "user", "content": job["text"]}]
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in job["tools"]
    ]
    for _ in range(3):
        turn = _turn(job, model="agent", messages=messages, tools=tools)
        if not turn["calls"]:
            return turn
        called = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in turn["calls"]
        ]
        messages.append({"role": "assistant", "content": turn["text"], "tool_calls": called})
        for id_, name, arguments in turn["calls"]:
            ran.append(name)
            result = f"{name} {json.loads(arguments)['customer']}"
            messages.append({"role": "tool", "tool_call_id": id_, "content": result})
    raise RuntimeError("the agent never came to an end")


def _retrieve(job: Job) -> dict[str, Any]:
    (choice,) = completions.retrieve(job["result_id"]).choices
    calls = choice.message.tool_calls or []
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "called": [call.function.name for call in calls],
    }


def _shown(turn: dict[str, Any]) -> dict[str, Any]:
    return {"text": turn["text"], "finish": turn["finish"]}


async def ask(job: Job, ran: list[str]) -> dict[str, Any]:
    return _shown(await asyncio.to_thread(_ask, job))


async def agent(job: Job, ran: list[str]) -> dict[str, Any]:
    return _shown(await asyncio.to_thread(_agent, job, ran))


async def retrieve(job: Job, ran: list[str]) -> dict[str, Any]:
    return await asyncio.to_thread(_retrieve, job)


serve({"ask": ask, "agent": agent, "retrieve": retrieve})
