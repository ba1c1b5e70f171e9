"""langchain-openai, as its users use it: `langchain_client.py BASE_URL KEY [responses]`.

The package has no call that fetches an answer later: its users ask again.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from serving import API, BASE_URL, KEY, Job, serve


def _model(name: str) -> ChatOpenAI:
    return ChatOpenAI(
        model=name, base_url=BASE_URL, api_key=KEY, use_responses_api=API == "responses"
    )


async def _said(job: Job, model: Runnable[Any, AIMessage], messages: list[Any]) -> AIMessage:
    if not job["stream"]:
        return await model.ainvoke(messages)
    whole: Any = None
    async for part in model.astream(messages):
        whole = part if whole is None else whole + part
    return whole


def _seen(message: AIMessage) -> dict[str, Any]:
    return {"text": message.text, "finish": message.response_metadata.get("finish_reason")}


async def ask(job: Job, ran: list[str]) -> dict[str, Any]:
    return _seen(await _said(job, _model("ok"), [HumanMessage(job["text"])]))


async def agent(job: Job, ran: list[str]) -> dict[str, Any]:
    """A loop as its guide has it; at most three turns."""
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in job["tools"]
    ]
    model = _model("agent").bind_tools(tools)
    messages: list[Any] = [HumanMessage(job["text"])]
    for _ in range(3):
        messages.append(await _said(job, model, messages))
        if not messages[-1].tool_calls:
            break
        for call in messages[-1].tool_calls:
            ran.append(call["name"])
            result = f"{call['name']} {call['args']['customer']}"
            messages.append(ToolMessage(result, tool_call_id=call["id"]))
    return _seen(messages[-1])


serve({"ask": ask, "agent": agent})
