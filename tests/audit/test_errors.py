from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sekisho_audit.errors import LedgerError, Locked, Poisoned, Refused, Unusable, in_words


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


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "/a/b is not there: see that it is written right"),
        (errno.EACCES, "/a/b may not be opened by this account: use the one that owns it"),
        (errno.EISDIR, "/a/b is a folder: name the file"),
        (errno.ENOTDIR, "/a/b: what should be a folder is a file"),
        (errno.EEXIST, "/a/b is there already: name another file"),
        (errno.ENOSPC, "/a/b: there is no room left on the disk"),
        (errno.EIO, "/a/b: Input/output error"),
    ],
)
def test_what_a_system_says_is_told_in_words(number: int, words: str) -> None:
    """What is wrong with which file, and no number."""
    error = OSError(number, "Input/output error", "/a/b")
    assert in_words(error) == words


def test_what_was_said_in_words_stays(tmp_path: Path) -> None:
    assert (
        in_words(NotADirectoryError("x is no folder of evidence")) == "x is no folder of evidence"
    )
    assert in_words(OSError(errno.ECONNREFUSED, "Connection refused")) == (
        "nobody answers there: see that host and port are right"
    )
    assert in_words(TimeoutError()) == "TimeoutError"
    with pytest.raises(OSError, match="No such file") as caught:
        (tmp_path / "none").read_bytes()
    assert in_words(caught.value).startswith(f"{tmp_path / 'none'} is not there")
