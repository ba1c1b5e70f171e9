"""The reasons of appeals, opened for somebody whose reading is on record.

Who asks names a `record.read` of the same exchange that is durable and fresh; without one nothing
is opened, so content that auditd gives out has its event, whoever stands at the socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sekisho_audit.errors import Refused
from sekisho_audit.places import event_at, payload_of
from sekisho_audit.scan import BrokenSegment
from sekisho_audit.seal import Unreadable, unseal

PART = "appeal"
"""What the `record.read` says was shown."""

READ_AGE_US_MAX = 60 * 1_000_000  # one record is for one reading, not for all that come after it
_REASON = "reason"

SecretOf = Callable[[str, str], bytes | None]
"""The key of a pseudonym and shelf; None once it is destroyed."""


def open_reasons(
    ledger: Path, document: Mapping[str, Any], read: int, secret_of: SecretOf, now_us: int
) -> list[dict[str, Any]]:
    """Id and reason of every appeal in `document`; the reason is None where its key is destroyed.

    `read` is the index of the `record.read`. Raises Refused.
    """
    try:
        _check_read(event_at(ledger, read), document["id"], now_us)
        return [
            {"id": line["id"], "reason": _opened(ledger, line["receipt"]["index"], secret_of)}
            for line in document["appeals"]
        ]
    except (BrokenSegment, OSError, LookupError, Unreadable) as error:
        raise Refused("busy", f"the reason cannot be read now: {error}") from error


def _check_read(leaf: Mapping[str, Any], exchange: str, now_us: int) -> None:
    fits = (
        leaf["type"] == "record.read"
        and leaf["exchange"] == exchange
        and leaf["data"]["part"] == PART
        and leaf["ts"] >= now_us - READ_AGE_US_MAX
    )
    if not fits:
        raise Refused("unread", "this reading is not on record")


def _opened(ledger: Path, index: int, secret_of: SecretOf) -> str | None:
    leaf = event_at(ledger, index)
    (entry,) = [one for one in leaf["pl"] if one["name"] == _REASON]
    pseudonym, _, shelf = entry["kref"].partition("/")
    secret = secret_of(pseudonym, shelf)
    if secret is None:
        return None
    stored = payload_of(ledger, entry["ct"], leaf["ts"])
    return unseal(secret, leaf["id"], _REASON, stored).decode("utf-8", "replace")
