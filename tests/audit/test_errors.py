from __future__ import annotations

from sekisho_audit.errors import LedgerError, Locked, Poisoned, Refused, Unusable


def test_a_refusal_has_a_code_for_machines_and_words_for_people() -> None:
    """The gateway maps the code, the operator reads the words."""
    error = Refused("unknown_intent", "There is no such intent.")

    assert ("unknown_intent", "There is no such intent.") == (error.code, str(error))


def test_a_locked_ledger_cannot_be_opened_and_a_refusal_is_no_fault() -> None:
    """Callers tell apart: not this request, not this ledger, never again."""
    assert issubclass(Locked, Unusable)
    for kind in (Refused, Poisoned, Unusable):
        assert issubclass(kind, LedgerError)
        others = {Refused, Poisoned, Unusable} - {kind}
        assert not any(issubclass(kind, other) for other in others)
