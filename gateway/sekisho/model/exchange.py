"""One request with its answer, from receive to release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was read whole and parsed strictly.

    `body` is safe to relay as it is: its parsed form says the same to every JSON parser.
    `parsed` is shared by all stages and never changed; an obligation makes a new body.
    """

    id: str
    received_us: int
    endpoint: str
    body: bytes
    parsed: Mapping[str, Any]
    client_ip: str
    idempotency_key: str | None = None
    retry_count: int = 0

    @property
    def model(self) -> str:
        """The model name the client asked for."""
        return str(self.parsed["model"])

    @property
    def stream(self) -> bool:
        """Whether the client wants server-sent events."""
        return self.parsed.get("stream") is True
