"""The insider's changes to what officers did and to the keys: signed again, against the rules."""

from __future__ import annotations

import orjson

from sekisho.model.ids import uuid7
from sekisho_audit.key_chain import ROTATED
from support.insider import Hint, Leaf, Tape


def _copy(leaf: Leaf) -> Leaf:
    copied: Leaf = orjson.loads(orjson.dumps(leaf))
    return {**copied, "id": uuid7()}


def forge_an_erasure_done(tape: Tape) -> Hint | None:
    """An erasure was done that nobody began, or once more."""
    index = tape.pick("erasure.done", fits=lambda leaf: "cause" not in leaf["data"])
    if index is None or index + 1 >= tape.high:
        return None
    forged = _copy(tape.leaves[index])
    forged["data"]["begun"] = tape.random.choice([forged["data"]["begun"], uuid7()])
    tape.leaves.insert(index + 1, forged)
    return tape.lay_down(index + 1, rule=True)


def forge_a_retention_done(tape: Tape) -> Hint | None:
    """Keys were destroyed because their time was over, in a run that never began."""
    index = tape.pick("officer.changed")
    if index is None or index + 1 >= tape.high:
        return None
    forged = {**_copy(tape.leaves[index]), "type": "retention.applied", "principal": None}
    row = {"class": "content", "days": 180, "keys": 3, "held": 0}
    forged["data"] = {"begun": uuid7(), "classes": [row], "texts": 3}
    tape.leaves.insert(index + 1, forged)
    return tape.lay_down(index + 1, rule=True)


def erase_under_hold(tape: Tape) -> Hint | None:
    """Somebody was erased of whom a court had said that everything be kept."""
    index = tape.pick("legal_hold.set")
    like = next((leaf for leaf in tape.leaves if leaf["type"] == "erasure.begun"), None)
    if index is None or like is None or index + 1 >= tape.high:
        return None
    held, begun = tape.leaves[index], {**_copy(like), "pl": []}
    begun["data"]["person"] = held["data"]["person"]
    begun.update(boot=held["boot"], ts=held["ts"], actor=held["actor"])
    for name in ("purpose", "ticket"):
        entry = tape.content(begun, name, b"as asked")
        if entry is None:
            return None
        begun["pl"].append(entry)
    tape.leaves.insert(index + 1, begun)
    return tape.lay_down(index + 1, rule=True)


def release_a_hold_alone(tape: Tape) -> Hint | None:
    """One officer released what takes two."""
    index = tape.pick("legal_hold.released")
    if index is None:
        return None
    del tape.leaves[index]["data"]["second"]
    return tape.lay_down(index, rule=True)


def disclose_without_the_duty(tape: Tape) -> Hint | None:
    """The second of those who were given content was no officer."""
    index = tape.pick("audit.disclosed")
    if index is None:
        return None
    tape.leaves[index]["data"]["second"] = f"p-{tape.random.getrandbits(64):016x}"
    return tape.lay_down(index, rule=True)


def appoint_nobody(tape: Tape) -> Hint | None:
    """An officer who acted was never made one."""
    index = tape.pick(
        "officer.changed",
        fits=lambda leaf: any(
            other["actor"] == leaf["principal"] and other["type"].startswith("legal_hold.")
            for other in tape.leaves[leaf["n"] :]
        ),
    )
    if index is None:
        return None
    del tape.leaves[index]
    return tape.lay_down(index, rule=True)


def rotate_with_one_key(tape: Tape) -> Hint | None:
    """The note of a change of keys, signed by the old key alone or by the new one alone."""
    index = tape.pick(ROTATED)
    if index is None:
        return None
    leaf = tape.leaves[index]
    lines = leaf["data"]["note"].split("\n")
    del lines[tape.random.choice([-2, -3])]
    forged = {**leaf, "data": {**leaf["data"], "note": "\n".join(lines)}}
    tape.spelled[index] = orjson.dumps(forged, option=orjson.OPT_SORT_KEYS)
    return tape.lay_down(index, rule=True)
