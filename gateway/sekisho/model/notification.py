"""What people are told outside the gateway, and to whom: where to look, and never what is held.

    filed       reviewers of a hold: it waits for you
    reminder    the same people, half of its time later
    escalation  the next group, when three quarters of its time are gone
    settled     the group of whoever asked: it was decided
    decided     where a rule wants it (`notify`): the rule spoke, and nothing waits
    break_glass everybody: it was opened, is used, or was not reviewed in time
    test        an operator tries a channel

A notification holds names of rules, a stage, a risk and times. There is no field for a prompt, an
answer, an argument, a reviewer's words or a person, so none can get out by a slip.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

RULES_TOLD_MAX = 8
RULE_CHARS_MAX = 128  # shown of one; the whole name stands on the page
_UUID_VERSION = 0x8 << 76  # RFC 9562 section 5.8: made by our own rule
_UUID_VARIANT = 0b10 << 62
_UUID_FIXED_BITS = 0xF << 76 | 0b11 << 62


class Moment(StrEnum):
    """When somebody is told; the list above says whom."""

    FILED = "filed"
    REMINDER = "reminder"
    ESCALATION = "escalation"
    SETTLED = "settled"
    DECIDED = "decided"
    BREAK_GLASS = "break_glass"
    TEST = "test"


OPEN_ONLY = frozenset({Moment.FILED, Moment.REMINDER, Moment.ESCALATION})
"""Moments that ask somebody to act; once the hold was decided they are not told any more."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing told to one channel. `id` is the same however often it is sent.

    `state` is that of a hold that was settled, the effect of what was decided, or what happened to
    an `opening`, which had so many `uses`. `expires_us` is 0 where nothing runs out. It is about a
    `hold`, an `exchange` or an opening, but for a test.
    """

    id: str
    channel: str
    moment: Moment
    rules: tuple[str, ...] = ()
    stage: str = ""
    risk: int = 0
    state: str = ""
    hold: str = ""
    exchange: str = ""
    created_us: int = 0
    expires_us: int = 0
    opening: str = ""
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Channel:
    """Who is reached by a channel: reviewers of these groups (or roles) are told of holds that wait
    for them, those of `escalation_of` when others have not answered, `requesters` how their own
    requests ended.
    """

    name: str
    groups: frozenset[str] = frozenset()
    escalation_of: frozenset[str] = frozenset()
    requesters: frozenset[str] = frozenset()
    per_minute_max: int = 20


class NotSent(Exception):
    """A channel did not take a notification; it may have told it to people all the same.

    `cause` is a stable word for logs and metrics and quotes nothing. `retry_after_s` is the time
    that the other side asked for. `final`: the same message would be refused again.
    """

    def __init__(
        self, cause: str, *, retry_after_s: float | None = None, final: bool = False
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after_s = retry_after_s
        self.final = final


class Courier(Protocol):
    """Brings notifications to one channel. Holds its secrets; nobody else sees them."""

    async def send(self, notification: Notification) -> None:
        """Raises NotSent within the deadline if the other side did not take it, or said nothing."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


Couriers = Mapping[str, Courier]
"""By the name of the channel."""


def told_rules(rules: Sequence[str]) -> tuple[str, ...]:
    """The rules as a notification names them: the first few, none endless."""
    return tuple(rule[:RULE_CHARS_MAX] for rule in rules[:RULES_TOLD_MAX])


def notification_id(*about: str) -> str:
    """The id of what is told, from what it is about: made again, after whatever crash, it is the
    same, so that a receiver can drop what it has.
    """
    framed = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in about)
    digest = hashlib.sha256(b"sekisho-notification-v1" + framed).digest()
    value = int.from_bytes(digest[:16], "big")
    return str(uuid.UUID(int=value & ~_UUID_FIXED_BITS | _UUID_VERSION | _UUID_VARIANT))
