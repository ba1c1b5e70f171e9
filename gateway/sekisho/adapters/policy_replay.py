"""Recorded decisions decided again, and one of them explained step by step.

The engine is the one that decides live traffic, with a deadline, so that a draft whose rules never
end fails its report instead of hanging it. Decisions are pure, so under its own revision a recorded
one must come out again byte for byte; what does not is counted and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from sekisho.adapters.bundle import Bundle
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.policy_eval import decide_once
from sekisho.adapters.policy_trace import Explanation
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.replays import Recorded, Replayed, said, same, summary
from sekisho.stages.decide import carried_out

DEADLINE_MS = 5_000  # nobody waits for a replay as for an answer; a busy machine must not fail it


@dataclass(frozen=True, slots=True)
class Explained:
    """A recorded decision, decided again: what it says, whether that is what stands in the ledger,
    and what the rules did.
    """

    recorded: Recorded
    said: dict[str, Any]
    same: bool
    explanation: Explanation | None


class Replay:
    """A revision that decides recorded inputs. To be closed."""

    def __init__(self, directory: Path) -> None:
        self._engine = EmbeddedOPA(directory, engines=1, deadline_ms=DEADLINE_MS)

    async def __aenter__(self) -> Self:
        await self._engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._engine.close()

    @property
    def bundle(self) -> Bundle:
        """What decides."""
        return self._engine.bundle

    async def decide(self, document: dict[str, Any]) -> dict[str, Any]:
        """What the revision says on record. Raises PolicyUnavailable if it does not answer."""
        try:
            answer = await self._engine.decide(document)
        except PolicyUnavailable as error:
            about, revision = document.get("exchange"), self._engine.revision
            message = (
                f"{revision} gave no answer about exchange {about}: {error.cause}. A rule that "
                "does not end would do the same to whoever asks; nothing was compared."
            )
            raise PolicyUnavailable(message, cause=error.cause) from error
        decision = carried_out(answer, document)
        return said(decision, str(document.get("stage", "")))


async def compare(
    recorded: Sequence[Recorded],
    before: Path,
    after: Path,
    *,
    since_us: int = 0,
    left_out: int = 0,
) -> tuple[str, str, dict[str, Any]]:
    """Both revisions and the report on what changes between them.

    Raises PolicyRejected for a bundle that cannot be used, PolicyUnavailable for rules that do not
    answer.
    """
    replayed = []
    unread = unlike = 0
    async with Replay(before) as old, Replay(after) as new:
        for one in recorded:
            document = _document(one)
            if document is None:
                unread += 1
                continue
            was, would = await old.decide(document), await new.decide(document)
            for again in (was, would):
                unlike += one.revision == again["revision"] and not same(one, again)
            groups = document.get("principal", {}).get("groups", ())
            replayed.append(Replayed(one, tuple(map(str, groups)), was, would))
        found = summary(
            replayed, unread=unread, unlike=unlike, since_us=since_us, left_out=left_out
        )
        return old.bundle.revision, new.bundle.revision, found


def explain(recorded: Recorded, bundle: Bundle) -> Explained:
    """Decide again and tell which rules fired. Raises PolicyRejected for what is no input,
    PolicyUnavailable for rules that do not end.
    """
    document = _document(recorded)
    if document is None:
        raise PolicyRejected(["data.yaml:1: the input is no document"])
    found = decide_once(bundle, document, why=True)
    decision = carried_out(found.decision, document)
    again = said(decision, str(document.get("stage", "")))
    return Explained(recorded, again, same(recorded, again), found.explanation)


def _document(recorded: Recorded) -> dict[str, Any] | None:
    if recorded.document is None:
        return None
    try:
        document = orjson.loads(recorded.document)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
