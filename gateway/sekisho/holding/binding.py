"""What an approval is bound to: exactly these bytes, this place, these terms, this version.

The binding is keyed with the exchange's commitment key, so that it says nothing about the bytes to
someone who guesses at them, and it repeats the ledger's commitment to the outgoing bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import orjson

from sekisho.model.decision import FIRST_STEP, Threshold
from sekisho.model.hold import Hold

_CONTEXT = b"sekisho-approval-v1\0"


def commit(commit_key: bytes, content: bytes) -> str:
    """The keyed commitment to `content`, as the ledger writes it for a payload."""
    return hmac.digest(commit_key, content, hashlib.sha256).hex()


def bind(hold: Hold, commit_key: bytes) -> Hold:
    """The same hold, with its binding."""
    return replace(hold, binding=_binding(hold, commit_key))


def is_bound(hold: Hold, commit_key: bytes) -> bool:
    """Whether the hold is still what its binding was made for."""
    return hmac.compare_digest(hold.binding, _binding(hold, commit_key))


def _asked(threshold: Threshold) -> list[str | int | list[str]]:
    step = [threshold.step] if threshold.step > FIRST_STEP else []
    relief = [list(threshold.relief)] if threshold.relief else []
    return [threshold.reviewers, threshold.approve, threshold.deny, *step, *relief]


def _binding(hold: Hold, commit_key: bytes) -> str:
    bound = {
        "hold": hold.id,
        "version": hold.version,
        "stage": hold.stage,
        "exchange": hold.exchange,
        "principal": hold.principal,
        "person": hold.person,
        "backend": hold.backend,
        "endpoint": hold.endpoint,
        "path": hold.path,
        "model": hold.model,
        "outgoing": commit(commit_key, hold.outgoing),
        "outgoing_bytes": len(hold.outgoing),
        "facts": commit(commit_key, hold.facts),
        "revision": hold.revision,
        "rules": list(hold.rules),
        "expires_us": hold.expires_us,
        "thresholds": [_asked(one) for one in hold.thresholds],
        "risk": hold.risk,
    }
    bound |= _seldom(hold)
    if hold.before:
        bound["before"] = commit(commit_key, hold.before)
    canonical = orjson.dumps(bound, option=orjson.OPT_SORT_KEYS)
    return commit(commit_key, _CONTEXT + canonical)


def _seldom(hold: Hold) -> dict[str, Any]:
    """What few holds have: told only of those, so that holds of before keep their binding."""
    wrote = bool(hold.editor or hold.narrowed)
    seeds = bool(hold.seed or hold.seeded_by)
    told = {
        "justify": (hold.justify, True),
        "background": (hold.background, True),
        "editor": (wrote, hold.editor),
        "narrowed": (wrote, hold.narrowed),
        "edit_step": (hold.edit_step != FIRST_STEP, hold.edit_step),
        "writers": (bool(hold.writers), list(hold.writers)),
        "asked_anew": (hold.asked_anew, True),
        "office_s": (hold.office_s != 0, hold.office_s),
        "notify": (bool(hold.notify), list(hold.notify)),
        "seed": (seeds, hold.seed),
        "seeded_by": (seeds, hold.seeded_by),
        "opening": (bool(hold.opening), hold.opening),
        "relief_us": (hold.relief_us != 0, hold.relief_us),
    }
    return {name: value for name, (there, value) in told.items() if there}
