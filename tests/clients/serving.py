"""The frame of a client under test: jobs on standard input, and what its user sees of each.

The same as tests/node/serving.mjs, where the lines are described. Jobs run at the same time; it
ends when standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import openai

BASE_URL, KEY = sys.argv[1:3]
API = sys.argv[3] if sys.argv[3:] else "chat"

Job = Mapping[str, Any]
Verb = Callable[[Job, list[str]], Awaitable[dict[str, Any]]]


def told(error: openai.OpenAIError) -> dict[str, Any]:
    """What a person who catches the error can read from it."""
    body = getattr(error, "body", None) or {}
    return {
        "kind": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "message": str(error),
        "approval": body.get("approval"),
    }


def serve(verbs: Mapping[str, Verb]) -> None:
    """Run jobs until there are no more. A verb adds the names of the tools it runs to its list."""
    asyncio.run(_serve(verbs))


async def _serve(verbs: Mapping[str, Verb]) -> None:
    async with asyncio.TaskGroup() as running:
        while line := await asyncio.to_thread(sys.stdin.readline):
            running.create_task(_run(verbs, json.loads(line)))


async def _run(verbs: Mapping[str, Verb], job: Job) -> None:
    ran: list[str] = []
    try:
        seen = await verbs[job["verb"]](job, ran)
    except openai.OpenAIError as error:
        seen = {"error": told(error)}
    print(json.dumps({"id": job["id"], "ran": ran, **seen}), flush=True)
