"""An errand takes what fits and answers whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from sekisho_audit.connection import Connection
from sekisho_audit.errand import Errand, failure
from sekisho_audit.errors import Poisoned, Refused
from sekisho_audit.server import Server
from sekisho_audit.wire import Malformed


class _Sent:
    """Keeps what is answered."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, Any]] = []

    def answer_now(self, connection: object, message: object) -> None:
        self.answers.append((connection, message))


def _errand(message: Mapping[str, Any], sent: _Sent | None = None) -> Errand:
    connection = cast("Connection", "the one who asked")
    return Errand(cast("Server", sent), connection, 7, {"op": "test", **message}, [])


@pytest.mark.parametrize("value", [None, 7, b"x", ["x"], True])
def test_a_text_is_a_text(value: object) -> None:
    """Nothing else is taken for one, and the operation is named."""
    with pytest.raises(Malformed, match="test needs `name`"):
        _errand({"name": value}).text("name")
    assert _errand({"name": "x"}).text("name") == "x"
    assert not _errand({}).text("name", "")


@pytest.mark.parametrize("value", [None, "7", 7.0, True])
def test_a_whole_number_is_one(value: object) -> None:
    """A flag is no number here, though it is one in Python."""
    with pytest.raises(Malformed, match="test needs `size`"):
        _errand({"size": value}).whole("size")
    assert _errand({"size": 7}).whole("size") == 7


def test_answers_go_to_whoever_asked() -> None:
    """With the number of the question."""
    sent = _Sent()
    errand = _errand({}, sent)
    errand.answer_now({"found": 1})
    errand.fail_now(Refused("busy", "later"))
    refused = {"req": 7, "error": "busy", "message": "later"}
    assert sent.answers == [
        ("the one who asked", {"req": 7, "found": 1}),
        ("the one who asked", refused),
    ]


def test_a_writer_that_is_over_says_so_by_a_code() -> None:
    """A worker must know it from a refusal that concerns one request."""
    assert failure(1, Poisoned("the disk"))["error"] == "poisoned"
