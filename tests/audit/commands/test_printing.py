"""Text of strangers is made harmless before it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.commands.printing import complain, ledger_in, plain
from support.ledgers import small_ledger


def test_what_is_not_printable_is_spelled_out() -> None:
    """Escape sequences and marks of direction show themselves; words of all scripts stay."""
    assert plain("a\x1b[2Jb\u202ec 合同") == "a\\x1b[2Jb\\x202ec 合同"


def test_a_complaint_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """What goes wrong before there is a verdict ends with 2."""
    assert complain("no such thing") == 2
    assert capsys.readouterr().err == "sekisho-audit: no such thing\n"


def test_an_error_is_told_in_words_that_steer_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        (tmp_path / "no\x1bne").read_bytes()
    complain(caught.value)
    complain(ValueError("one\x1b[2J\ntwo"))
    said = capsys.readouterr().err
    assert "no\\x1bne is not there" in said
    assert "one\\x1b[2J\ntwo\n" in said
    assert "Errno" not in said


def test_a_ledger_is_found_from_its_data_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder itself or the one around it; anything else is told."""
    ledger = small_ledger(tmp_path)
    assert ledger_in(ledger) == ledger
    assert ledger_in(tmp_path / "nowhere") is None
    assert "there is no ledger in" in capsys.readouterr().err
