"""Names for things: uuid7, so that ids sort by the time they were given (RFC 9562 section 5.7), and
what principals and groups may be called.
"""

from __future__ import annotations

import re

from sekisho_audit.ids import uuid7

__all__ = ["is_exchange", "is_id", "is_id_pattern", "uuid7"]

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

# Lower case only: "Staff-7" and "staff-7" must not be two people who approve one another.
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}")
_NAMES = re.compile(r"[a-z0-9*?][a-z0-9._@+*?-]{0,127}")


def is_exchange(text: str) -> bool:
    """Whether `text` has the form of an exchange's id, a uuid7."""
    return _UUID7.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether `text` can name a principal or a group."""
    return _NAME.fullmatch(text) is not None


def is_id_pattern(text: str) -> bool:
    """Whether some name of a principal or a group can fit `text`, where `*` and `?` are wild."""
    return _NAMES.fullmatch(text) is not None
