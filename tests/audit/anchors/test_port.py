"""What anchors say when they fail."""

from __future__ import annotations

from sekisho_audit.anchors.port import AnchorFailed, Diverged
from sekisho_audit.errors import SecondLedger, Unusable


def test_a_failure_has_a_word_for_the_ledger_and_a_sentence_for_people() -> None:
    error = AnchorFailed("unreachable", "w.example: timed out")
    assert (error.cause, str(error)) == ("unreachable", "w.example: timed out")


def test_another_history_is_a_second_ledger_with_its_proof() -> None:
    error = Diverged("why", b"note")
    assert isinstance(error, SecondLedger)
    assert isinstance(error, Unusable)
    assert (str(error), error.proof) == ("why", b"note")
