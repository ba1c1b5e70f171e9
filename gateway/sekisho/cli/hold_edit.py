"""A reviewer changes the tool calls of a held answer in their own editor.

They get the calls as one JSON document, in plain ASCII, so that nothing in it drives the terminal;
what they change in `arguments` becomes new arguments, and a call that they take out is dropped. The
file is theirs alone and is gone afterwards.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import orjson

from sekisho.cli.gate import GateFailed
from sekisho.cli.printing import as_json
from sekisho.content.tool_calls import proposed


def edited(hold: dict[str, Any]) -> list[dict[str, Any]]:
    """What the reviewer changed, as `POST …/edits` wants it; empty if nothing.

    Raises GateFailed if there is nothing to edit, or what came back cannot be read.
    """
    before = _calls(hold)
    if not before:
        raise GateFailed("There is no tool call in this hold; approve or deny it as it is.")
    after = _read(_through_editor(as_json(before)), before)
    changes: list[dict[str, Any]] = []
    for call in before:
        now = after.get(call["place"])
        if now is None:
            changes.append({"place": call["place"], "drop": True})
        elif now["arguments"] != call["arguments"]:
            said = now["arguments"]
            text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
            changes.append({"place": call["place"], "arguments": text})
    return changes


def edit_bound(hold: dict[str, Any]) -> dict[str, Any]:
    """What an edit says of what it is about: as the hold was shown."""
    step = hold.get("open_step")  # a gateway of before tells of no steps, and takes none
    bound = {"binding": hold["binding"], "version": hold["version"]}
    return {**bound, "step": step} if step is not None else bound


def _calls(hold: dict[str, Any]) -> list[dict[str, Any]]:
    text = hold["outgoing"].get("text")
    if hold["stage"] == "request" or not text:
        return []
    try:
        found = proposed(orjson.loads(text))
    except orjson.JSONDecodeError:
        return []
    return [
        {"place": place, "name": call.name, "arguments": call.arguments}
        for place, call in enumerate(found)
    ]


def _through_editor(text: str) -> str:
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="sekisho-") as folder:
        file = Path(folder) / "calls.json"
        file.write_text(text + "\n")
        try:
            status = subprocess.run([*command, str(file)], check=False).returncode  # noqa: S603 - theirs
            if status != 0:
                raise GateFailed(f"The editor ended with {status}; nothing was changed.")
            return file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            message = "The editor cannot be started, or left no text. Set EDITOR."
            raise GateFailed(message) from error


def _read(text: str, before: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The calls by place. Raises GateFailed for what is not a list of some of those given."""
    try:
        said = json.loads(text)
        after = {one["place"]: one for one in said}
        known = {call["place"]: call["name"] for call in before}
        fits = isinstance(said, list) and len(after) == len(said)
        fits = fits and all(
            known[place] == one["name"] and "arguments" in one for place, one in after.items()
        )
    except (ValueError, TypeError, KeyError) as error:
        raise _unreadable() from error
    if not fits:
        raise _unreadable()
    return after


def _unreadable() -> GateFailed:
    return GateFailed(
        "What the editor left is not the list of calls. Change `arguments`, or take a whole call "
        "out; leave `place` and `name` as they are. Nothing was changed."
    )
