"""What of a request or an answer the log level lets the ledger keep, sealed.

metadata  nothing; the commitment alone stands
redacted  the text with everything masked that a scan finds
full      the bytes as they were
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from sekisho.content.redact import redact_body
from sekisho.content.scan import Scanner
from sekisho.errors import BadRequest
from sekisho.model.facts import Found

INLINE_BYTES_MAX = 32_768  # above it, masking for the record leaves the event loop


class Kept:
    """Masks by `scanner`, which has the words of the active bundle."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner

    async def request(
        self, body: bytes, parsed: Any, found: Sequence[Found], level: str
    ) -> bytes | None:
        """Of a request, which was scanned already."""
        if level == "metadata":
            return None
        if level == "full" or not found:
            return body
        if len(body) > INLINE_BYTES_MAX:
            return await asyncio.to_thread(redact_body, parsed, found)
        return redact_body(parsed, found)

    async def answer(self, answer: Any, level: str) -> bytes | None:
        """The same for an answer, which has to be scanned first."""
        if level == "metadata":
            return None
        body = orjson.dumps(answer)
        if level == "full":
            return body
        if len(body) > INLINE_BYTES_MAX:
            return await asyncio.to_thread(self._masked, answer, body)
        return self._masked(answer, body)

    def _masked(self, answer: Any, body: bytes) -> bytes | None:
        """What cannot be looked through whole is not kept: the commitment alone stands then."""
        try:
            found = self._scanner.scan(answer).found
        except BadRequest:
            return None
        return redact_body(answer, found) if found else body
