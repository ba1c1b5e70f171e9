"""justify: whoever asked gives a reason before the request may leave.

Pure: the terms on which such a request waits, and what counts as a reason. The reason is evidence
and is read by reviewers and auditors, so nothing in it may hide: a control character or one that
turns the direction of text is refused, and only characters that can be seen count.
"""

from __future__ import annotations

import unicodedata

from sekisho.errors import BadRequest
from sekisho.model.decision import Decision, Effect, HoldTerms

TTL_S = 86_400  # until the same hour tomorrow: who asked may have gone home
REASON_CHARS_MIN = 4  # seen ones: a reason in Chinese has no more, a mere "ok" has fewer
REASON_CHARS_MAX = 2000  # a paragraph, as for a review
RISK = 0  # nobody else is asked, so there is no risk to tell them
_LAID_OUT = frozenset("\n\r\t")
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def terms(decision: Decision) -> HoldTerms | None:
    """On which terms the request waits, None if it need not.

    A hold keeps its own terms, reason or not; an allowed request asks no reviewer, only for the
    reason. What is denied waits for nothing.
    """
    asked = decision.obligations
    if decision.effect is Effect.HOLD:
        return asked.hold
    if decision.effect is Effect.ALLOW and asked.justify:
        return HoldTerms(stage="request", thresholds=(), ttl_s=TTL_S, risk=RISK)
    return None


def reason_of(text: str) -> str:
    """The reason as it is kept. Raises BadRequest (`reason_required`, or for what is in it)."""
    if len(text) > REASON_CHARS_MAX:
        raise BadRequest(f"reason is longer than {REASON_CHARS_MAX} characters.", param="reason")
    hidden = next((one for one in text if _hides(one)), None)
    if hidden is not None:
        message = (
            f"reason has the character U+{ord(hidden):04X} in it, which hides text. Leave it out."
        )
        raise BadRequest(message, param="reason")
    if sum(map(_is_seen, text)) < REASON_CHARS_MIN:
        message = f"Say why in {REASON_CHARS_MIN} characters or more: others will read it."
        raise BadRequest(message, param="reason", code="reason_required")
    return text.strip()


def _hides(character: str) -> bool:
    if character in _LAID_OUT:
        return False
    return character in _TURNS or unicodedata.category(character) in {"Cc", "Cs"}


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS"
