from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sekisho.clearance import Clearance, Recorded
from sekisho.model.decision import HoldTerms
from sekisho.ports import BackendReply
from sekisho.stages.forward import forward
from support.holds import ONE_REVIEW, STAFF, exchange, outgoing
from support.line import Reply


class _Seen:
    """A backend that remembers how it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, bytes, Mapping[str, str]]] = []

    async def send(
        self, backend: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> BackendReply:
        self.calls.append((backend, path, body, headers))
        return Reply((), 200, {})


@pytest.mark.parametrize(
    ("stream", "accept"), [(True, "text/event-stream"), (False, "application/json")]
)
async def test_exactly_the_recorded_bytes_are_sent_once(stream: bool, accept: str) -> None:
    """To the one backend and path they were recorded for, with no header of the client."""
    leaving = outgoing(exchange(), STAFF, HoldTerms("request", ONE_REVIEW, 600, 10))
    leaving = replace(leaving, stream=stream)
    backend = _Seen()

    await forward(Recorded(Clearance(leaving, None), "i1", 0), backend)

    assert [("demo", "/v1/chat/completions", leaving.body, {"accept": accept})] == backend.calls
