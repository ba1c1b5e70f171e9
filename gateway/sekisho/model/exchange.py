"""One request with its answer, from receive to release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sekisho.model.assistant import PREFIX, Assistant


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was read whole and parsed strictly.

    `body` is safe to relay as it is: its parsed form says the same to every JSON parser.
    `parsed` is shared by all stages and never changed; an obligation makes a new body. Through an
    assistant both have its model and instructions already, as `revision` of policy has them.
    `background`: the client does not wait for the answer, it comes back for it.
    """

    id: str
    received_us: int
    endpoint: str
    body: bytes
    parsed: Mapping[str, Any]
    client_ip: str
    idempotency_key: str | None = None
    retry_count: int = 0
    assistant: Assistant | None = None
    revision: str = ""
    background: bool = False

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.parsed["model"])

    @property
    def asked(self) -> str:
        """What the client named: the model, or an assistant."""
        return self.model if self.assistant is None else PREFIX + self.assistant.name

    @property
    def stream(self) -> bool:
        """Whether the client wants server-sent events."""
        return self.parsed.get("stream") is True
