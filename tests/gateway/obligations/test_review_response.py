"""An answer that somebody will judge is shown to nobody before."""

from __future__ import annotations

from sekisho.model.decision import HoldTerms, Obligations
from sekisho.obligations.review_response import apply


def test_when_the_answer_is_read_whole() -> None:
    """Where rules say so, and wherever a later stage is held; not for a hold of the request."""
    terms = HoldTerms("response", (), 60, 50)
    assert not apply(Obligations())
    assert not apply(Obligations(hold=HoldTerms("request", (), 60, 50)))
    assert apply(Obligations(review_response=True))
    assert apply(Obligations(hold_later=(terms,)))
    assert apply(Obligations(hold_later=(HoldTerms("tool_call", (), 60, 50), terms)))
