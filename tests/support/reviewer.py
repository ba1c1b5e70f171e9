"""A reviewer who answers holds over HTTP, as a page or a script of theirs would.

A hold is found by a mark: a word of the test's own that stands in what is held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

REASON = "Customer 7 has asked us not to."
APPEARS_S = 30.0  # a busy machine; an idle one takes a tenth of a second

Seen = TypeVar("Seen")


class Reviewer:
    """Someone with a key of the role `reviewer` at one installation."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"}
        self._looked: dict[str, dict[str, Any]] = {}

    def holds(self) -> list[dict[str, Any]]:
        """The queue."""
        return list(self._get("/v1/approvals")["data"])

    def find(self, mark: str = "") -> dict[str, Any]:
        """Wait for the open hold with `mark` in what is held, and look at it."""
        until = time.monotonic() + APPEARS_S
        while time.monotonic() < until:
            for card in self.holds():
                if mark in self._look(card["id"])["outgoing"]["text"]:
                    return self._look(card["id"])
            time.sleep(0.05)
        message = f"no hold with {mark!r}"
        raise AssertionError(message)

    def decide(self, decision: str, mark: str = "") -> dict[str, Any]:
        """Wait for a hold and answer it; the hold as it was shown."""
        return self.answer(self.find(mark), decision)

    def answer(self, shown: dict[str, Any], decision: str) -> dict[str, Any]:
        """Answer a hold as it was shown."""
        said = {"decision": decision, "binding": shown["binding"], "reason": REASON}
        answer = httpx.post(
            f"{self._url}/v1/approvals/{shown['id']}/reviews",
            json=said,
            headers=self._headers,
            trust_env=False,
        )
        answer.raise_for_status()
        return shown

    def while_deciding(
        self, decision: str, asking: Callable[[], Seen], mark: str = ""
    ) -> tuple[Seen, dict[str, Any]]:
        """What a client gets while its hold is answered, and what the reviewer saw."""
        shown: list[dict[str, Any]] = []
        reviewer = threading.Thread(target=lambda: shown.append(self.decide(decision, mark)))
        reviewer.start()
        answer = asking()
        reviewer.join(APPEARS_S)
        return answer, shown[0]

    def look(self, hold_id: str) -> dict[str, Any]:
        """The hold as it is now."""
        return self._get(f"/v1/approvals/{hold_id}")

    def _look(self, hold_id: str) -> dict[str, Any]:
        if hold_id not in self._looked:
            self._looked[hold_id] = self.look(hold_id)
        return self._looked[hold_id]

    def _get(self, path: str) -> dict[str, Any]:
        answer = httpx.get(self._url + path, headers=self._headers, trust_env=False)
        answer.raise_for_status()
        return dict(answer.json())
