"""`sekisho hold watch`: a reviewer works through the queue at a terminal.

    queue   1-9 or enter opens, j/k moves, q ends
    hold    space/b turn pages, a approves, d denies, e edits, s skips, q goes back

Everything that is bound is shown, hidden characters spelled out, and approving asks for its last
page first. One key is one answer: what was pasted, or typed before the hold stood there, is none.
What is sent back is the binding of what was shown.
"""

from __future__ import annotations

import time
from typing import Any, Protocol
from urllib.parse import quote

from sekisho.cli.gate import Gate, GateFailed
from sekisho.cli.hold_edit import edit_bound, edited
from sekisho.cli.hold_seed import told
from sekisho.cli.hold_text import bound_text
from sekisho.cli.printing import visible
from sekisho.cli.terminal import (
    DOWN,
    END,
    ENTER,
    NOTHING,
    UP,
    clipped,
    wrapped,
)
from sekisho.model.care import RISK_OF_CARE

TICK_S = 1.0
READ_AGAIN_S = 5.0
LISTED_MAX = 50
REASON_CHARS_MAX = 2000
_SPACES = {"\n": " ", "\r": " ", "\t": " "}
_QUEUE_HELP = "1-9 or enter: open   j/k: move   q: quit"
_HOLD_HELP = "space/b: page   a: approve   d: deny   e: edit   s: skip   q: back"


class Screen(Protocol):
    """What of a terminal is needed here; see terminal.py."""

    def size(self) -> tuple[int, int]: ...
    def draw(self, lines: list[str]) -> None: ...
    def forget_typed(self) -> None: ...
    def key(self, timeout_s: float) -> str: ...
    def text(self, timeout_s: float) -> str: ...
    def leave(self) -> None: ...
    def __enter__(self) -> object: ...


class Watch:
    """One reviewer's session; `run` returns when they quit."""

    def __init__(self, gate: Gate, screen: Screen) -> None:
        self._gate = gate
        self._screen = screen
        self._said = ""
        self._holds: list[dict[str, Any]] = []
        self._read_s = -READ_AGAIN_S
        self._at = 0

    def run(self) -> None:
        """The queue, until `q`."""
        while True:
            self._read_queue()
            self._screen.draw(queue_lines(self._holds, self._at, self._said, self._screen.size()))
            key = self._screen.key(TICK_S)
            if key in {"q", END}:
                return
            if key == NOTHING:
                continue
            self._said = ""
            if key in {"j", DOWN}:
                self._at += 1
            elif key in {"k", UP}:
                self._at -= 1
            elif key.isdigit() and 0 < int(key) <= len(self._holds):
                self._at = int(key) - 1
                self._open(self._holds[self._at])
            elif key == ENTER and self._holds:
                self._open(self._holds[self._at])
            self._at = max(0, min(self._at, len(self._holds) - 1))

    def _read_queue(self, *, now: bool = False) -> None:
        """What waits. It is read at each look but no more than twice a second."""
        if not now and time.monotonic() - self._read_s < TICK_S / 2:
            return
        self._read_s = time.monotonic()
        try:
            query = {"mine": "false", "limit": str(LISTED_MAX)}
            found = self._gate.get("/v1/approvals", **query)["data"]
        except GateFailed as error:
            self._said = error.message
            return
        chosen = self._holds[self._at]["id"] if self._at < len(self._holds) else ""
        self._holds = [hold for hold in found if hold["may_review"]]
        places = [n for n, hold in enumerate(self._holds) if hold["id"] == chosen]
        self._at = places[0] if places else min(self._at, max(0, len(self._holds) - 1))

    # -- one hold

    def _open(self, card: dict[str, Any]) -> None:
        path = f"/v1/approvals/{quote(card['id'], safe='')}"
        try:
            self._claim(path)
            hold = self._gate.get(path)
            self._look(path, hold)
        except GateFailed as error:
            self._said = error.message
        self._leave(path)
        self._read_queue(now=True)
        self._screen.forget_typed()

    def _claim(self, path: str) -> None:
        """Tell the others; who is there already is told, and hinders nobody."""
        try:
            self._gate.post(f"{path}/claim")
        except GateFailed as error:
            self._said = error.message

    def _leave(self, path: str) -> None:
        try:
            self._gate.delete(f"{path}/claim")
        except GateFailed:
            return  # it ends by itself

    def _look(self, path: str, hold: dict[str, Any]) -> None:
        """Show a hold until it was answered or left."""
        top, seen_all = 0, False
        self._screen.forget_typed()
        while True:
            columns, rows = self._screen.size()
            body = wrapped(bound_text(hold), columns)
            room = max(1, rows - 3)
            top = max(0, min(top, len(body) - room))
            seen_all = seen_all or top + room >= len(body)
            self._screen.draw(hold_lines(hold, body[top : top + room], top, len(body), self._said))
            key = self._screen.key(TICK_S)
            if key == NOTHING:
                continue
            self._said = ""
            if key in {"q", "s", END}:
                self._at += key == "s"
                return
            if key in {" ", DOWN}:
                top += room if key == " " else 1
            elif key in {"b", UP}:
                top -= room if key == "b" else 1
            elif key == "a" and not seen_all:
                self._said = "There is more below. Read it to the end (space), then approve."
            elif key in {"a", "d"} and self._decided(path, hold, key):
                return
            elif key == "e":
                hold, top, seen_all = self._edit(path, hold), 0, False

    def _decided(self, path: str, hold: dict[str, Any], key: str) -> bool:
        decision = "approve" if key == "a" else "deny"
        reason = ""
        if key == "d" or hold["risk"] >= RISK_OF_CARE:
            asked = self._line(hold, f"Reason to {decision} (enter sends, escape goes back): ")
            if asked is None:
                return False
            reason = asked
        bound = {name: hold[name] for name in ("binding", "version")}
        said = {"decision": decision, "reason": reason, **bound}
        try:
            after = self._gate.post(f"{path}/reviews", said)
        except GateFailed as error:
            self._said = error.message
            return False
        more = told(after) or after.get("warning") or ""
        self._said = f"Hold {after['id']} is now {after['status']}. {more}"
        return True

    def _edit(self, path: str, hold: dict[str, Any]) -> dict[str, Any]:
        """The hold in the version that the reviewer wrote, or as it was."""
        self._screen.leave()
        try:
            changes = edited(hold)
            if not changes:
                self._said = "Nothing was changed."
                return hold
            said = {**edit_bound(hold), "calls": changes}
            after: dict[str, Any] = self._gate.post(f"{path}/edits", said)
        except GateFailed as error:
            self._said = error.message
            return hold
        finally:
            self._screen.__enter__()
            self._screen.forget_typed()
        self._said = "This is the new version. What you wrote has to be approved by somebody else."
        return after

    def _line(self, hold: dict[str, Any], asks: str) -> str | None:
        """A line of text, or None. Pasted text is welcome here; line breaks become spaces."""
        typed = ""
        while True:
            columns, rows = self._screen.size()
            head = clipped(_head(hold), columns)
            # The end of what is typed is what matters to who types it.
            lines = [head, self._said, *wrapped(asks + visible(typed) + "_", columns)]
            self._screen.draw([*lines[:2], *lines[2:][-(rows - 2) :]])
            text = self._screen.text(TICK_S)
            if text in {"\r", "\n"}:
                return typed.strip()
            if text in {"\x1b", END}:
                return None
            if not text.startswith("\x1b"):
                for char in text:
                    typed = typed[:-1] if char in "\x7f\x08" else typed + _SPACES.get(char, char)
                typed = typed[:REASON_CHARS_MAX]


def queue_lines(
    holds: list[dict[str, Any]], at: int, said: str, size: tuple[int, int]
) -> list[str]:
    """The queue as lines: what is urgent first, the chosen one marked."""
    columns, rows = size
    lines = [f"Sekisho: {len(holds)} to review    {_QUEUE_HELP}", visible(said).replace("\n", " ")]
    room = max(1, rows - 3)
    first = max(0, min(at - room + 1, len(holds) - room))
    for place, hold in enumerate(holds[first : first + room], first):
        number = str(place + 1) if place < 9 else " "  # noqa: PLR2004 - one digit is one key
        claimed = f"  ({hold['claimed_by']} looks at it)" if hold.get("claimed_by") else ""
        mark = ">" if place == at else " "
        told = (
            f"{mark}{number} {left(hold['expires_at']):>8}  risk {hold['risk']:>3}  "
            f"{hold['stage']}  {hold['principal']}  {hold['model']}  {','.join(hold['rules'])}"
        )
        lines.append(clipped(visible(told + claimed).replace("\n", " "), columns))
    return lines if holds else [*lines, "Nothing waits for you."]


def hold_lines(hold: dict[str, Any], body: list[str], top: int, count: int, said: str) -> list[str]:
    """A page of a hold under its head."""
    place = "" if len(body) >= count else f"   lines {top + 1}-{top + len(body)} of {count}"
    message = visible(said).replace("\n", " ")
    return [_head(hold) + place, message or _HOLD_HELP, *body]


def left(expires_at: int) -> str:
    """How much time is left, in the two units that matter."""
    seconds = int(expires_at - time.time())
    if seconds <= 0:
        return "over"
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= 24:  # noqa: PLR2004 - a day
        return f"{hours // 24}d {hours % 24}h"
    return f"{hours}h {minutes % 60}m" if hours else f"{minutes}m {seconds % 60}s"


def _head(hold: dict[str, Any]) -> str:
    wait_s = int((hold.get("approve_from") or 0) - time.time())
    soon = f", to approve in {wait_s + 1} s" if wait_s >= 0 and hold.get("approve_from") else ""
    claimed = f", {hold['claimed_by']} looks at it" if hold.get("claimed_by") else ""
    risk = f"risk {hold['risk']}"
    return visible(f"{hold['status']}, {risk}, {left(hold['expires_at'])} left{soon}{claimed}")
