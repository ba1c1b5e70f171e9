"""The interpreter is kept while a batch is built, and wanted back soon after the disk."""

from __future__ import annotations

import sys

import pytest

from sekisho_audit.turns import SOON_S, kept, lent


def test_the_interpreter_is_kept_and_lent() -> None:
    """Each says how long others wait for it within, and leaves behind what it found."""
    before = sys.getswitchinterval()
    with lent():
        lent_s = sys.getswitchinterval()
        with kept():
            kept_s = sys.getswitchinterval()
            with lent():
                assert sys.getswitchinterval() == lent_s
            assert sys.getswitchinterval() == kept_s
        assert sys.getswitchinterval() == lent_s
    assert (lent_s, sys.getswitchinterval()) == (pytest.approx(SOON_S), before)
    assert kept_s > 5 * lent_s


def test_what_fails_within_changes_nothing() -> None:
    """An error of the disk leaves no other interval behind."""
    before = sys.getswitchinterval()
    with pytest.raises(OSError, match="gone"), kept(), lent():
        raise OSError("gone")
    assert sys.getswitchinterval() == before
