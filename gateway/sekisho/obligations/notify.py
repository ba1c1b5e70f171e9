"""notify: channels are told of a decision.

A channel that does not exist would be told nothing, in silence, so asking for one cannot be carried
out. What a channel was told about the request it is not told again at a later stage; and a hold
tells of itself, when it waits and when it is over.
"""

from __future__ import annotations

from collections.abc import Collection

from sekisho.model.decision import Decision, Effect, Obligations


def reaches_all(asked: Obligations, channels: Collection[str] | None) -> bool:
    """Whether everybody whom policy wants told can be; `channels` None where they are not known."""
    return channels is None or set(channels).issuperset(asked.notify)


def apply(
    decision: Decision, channels: Collection[str], known: Collection[str] = ()
) -> tuple[str, ...]:
    """Who is told of `decision` now, in order; those `known` have been."""
    if decision.effect is Effect.HOLD:
        return ()
    return tuple(sorted(set(decision.obligations.notify).intersection(channels).difference(known)))
