"""review_response: the answer is read whole, and judged, before anybody sees any of it.

A hold of a later stage asks for the same without saying so: what has been shown cannot be held.
"""

from __future__ import annotations

from sekisho.model.decision import Obligations


def apply(asked: Obligations) -> bool:
    """Whether the answer must be there to its end before anything of it is shown."""
    return asked.review_response or bool(asked.hold_later)
