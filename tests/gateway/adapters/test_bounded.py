"""Work in a thread: its value, its exception, or the end of patience."""

from __future__ import annotations

import threading

import pytest

from sekisho.adapters.bounded import bounded


def test_value_and_exception_come_through() -> None:
    """As if it had been called; an exception is no value, even where one is returned."""
    assert 3 == bounded(lambda: 3, 60)
    assert isinstance(bounded(lambda: ValueError("returned"), 60), ValueError)
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 60)


def test_what_does_not_end() -> None:
    """The caller goes on."""
    forever = threading.Event()
    with pytest.raises(TimeoutError, match="not done"):
        bounded(lambda: forever.wait(600), 0.01)
    forever.set()
