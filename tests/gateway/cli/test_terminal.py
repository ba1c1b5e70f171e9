from __future__ import annotations

import os
import pty
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.cli.terminal import END, ENTER, NOTHING, PASTED, UP, Terminal, clipped, width, wrapped


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal; ours is standard input and output."""
    far, near = pty.openpty()
    with os.fdopen(near, "r+b", buffering=0) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(sys, "stdout", stream)
        yield far, near
    os.close(far)


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        (b"a", "a"),
        ("字".encode(), "字"),
        (b"\n", ENTER),
        (b"\x1b[A", UP),
        (b"aa", PASTED),
        (b"a\n", PASTED),
        (b"\x1b[6~", PASTED),
    ],
)
def test_one_key_is_told_from_several(tty: tuple[int, int], typed: bytes, key: str) -> None:
    """Pasted text is no key, whatever it begins with."""
    with Terminal() as terminal:
        os.write(tty[0], typed)
        assert terminal.key(5) == key


def test_half_a_character_is_waited_for(tty: tuple[int, int]) -> None:
    """A slow line may cut it anywhere."""
    with Terminal() as terminal:
        os.write(tty[0], b"\xe5\xad")
        assert terminal.key(5) == NOTHING
        os.write(tty[0], b"\x97")
        assert terminal.key(5) == "字"


def test_what_was_typed_before_is_forgotten(tty: tuple[int, int]) -> None:
    """It was meant for what stood there then."""
    with Terminal() as terminal:
        os.write(tty[0], b"a")
        terminal.forget_typed()
        assert terminal.key(0) == NOTHING


def test_a_hint_ends_waiting(tty: tuple[int, int]) -> None:
    """And is no key."""
    ours, theirs = os.pipe()
    with Terminal(ours) as terminal:
        os.write(theirs, b"..")
        assert terminal.key(60) == NOTHING
        assert terminal.key(0) == NOTHING
    os.close(ours)
    os.close(theirs)


def test_the_terminal_is_left_as_it_was(tty: tuple[int, int]) -> None:
    """Also after an error."""
    before = termios.tcgetattr(tty[1])
    terminal = Terminal()

    def interrupted() -> None:
        with terminal:
            assert termios.tcgetattr(tty[1]) != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert termios.tcgetattr(tty[1]) == before


def test_a_terminal_that_is_gone_is_told(tty: tuple[int, int], tmp_path: Path) -> None:
    """Nobody presses a key there any more."""
    with Terminal() as terminal, (tmp_path / "empty").open("w+") as empty:
        os.dup2(empty.fileno(), tty[1])
        assert terminal.key(5) == END
        far, near = pty.openpty()
        os.dup2(near, tty[1])
        os.close(near)
    os.close(far)


def test_every_character_is_in_one_of_the_lines() -> None:
    """Wide ones take two columns, marks none, and nothing is lost at an edge."""
    text = "a字e\u0301" * 20 + "\n\nend"
    lines = wrapped(text, 7)
    assert "".join(lines) == text.replace("\n", "")
    assert all(sum(map(width, line)) <= 7 for line in lines)
    assert lines[-2:] == ["", "end"]
    assert clipped("字字字", 5) == "字字"


def test_an_interrupt_that_python_lost_is_not_lost(
    tty: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised while an object is finalized is dropped; whoever pressed Ctrl-C is let out
    all the same, and afterwards the keys mean what they meant before.
    """

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: lost.append(told.exc_type))
    before = signal.getsignal(signal.SIGINT)
    with Terminal() as terminal:
        Finalized()
        terminal.draw(["still here"])
        assert lost == [KeyboardInterrupt]
        with pytest.raises(KeyboardInterrupt):
            terminal.key(5)
    assert signal.getsignal(signal.SIGINT) is before
