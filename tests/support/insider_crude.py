"""What anybody with the disk can do to a ledger: bytes are changed, and nothing is signed again, or
not by the right key. Each takes a `Tape` and returns a hint of what it did, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from sekisho_audit.checkpoint import Signer
from sekisho_audit.scan import EVENTS, HEAD_BYTES, PAYLOADS, Family
from support.insider import Hint, Tape

Change = Callable[[Tape], Hint | None]


def _frames(tape: Tape, family: Family) -> list[tuple[str, int, int]]:
    """File, begin and end of each record, in order."""
    found = []
    bodies = tape.original.bodies if family is EVENTS else tape.original.payloads
    firsts = [*tape.original.firsts[family.directory], len(bodies)]
    for first, end in pairwise(firsts):
        at = len(family.header(first))
        for body in bodies[first:end]:
            found.append((f"{family.directory}/{first:012d}.seg", at, at + HEAD_BYTES + len(body)))
            at += HEAD_BYTES + len(body)
    return found


def _flip(tape: Tape, name: str, offset: int) -> None:
    path = tape.where / name
    changed = bytearray(path.read_bytes())
    changed[offset] ^= 1 << tape.random.randrange(8)
    path.write_bytes(changed)


def flip_in_event(tape: Tape) -> Hint | None:
    """One bit of a record: its length, its hash or its bytes."""
    index = tape.pick()
    if index is None:
        return None
    name, begin, end = _frames(tape, EVENTS)[index]
    _flip(tape, name, tape.random.randrange(begin, end))
    return Hint(index, index, name, begin)


def flip_in_content(tape: Tape) -> Hint | None:
    """One bit of a stored payload."""
    places = _frames(tape, PAYLOADS)
    name, begin, end = tape.random.choice(places)
    _flip(tape, name, tape.random.randrange(begin, end))
    return Hint(file=name, offset=begin)


def flip_in_first_line(tape: Tape) -> Hint | None:
    """One bit of the line with which a segment begins."""
    family = tape.random.choice([EVENTS, PAYLOADS])
    first = tape.random.choice(
        [one for one in tape.original.firsts[family.directory] if one < tape.high]
    )
    name = f"{family.directory}/{first:012d}.seg"
    _flip(tape, name, tape.random.randrange(len(family.header(first))))
    return Hint(first, first, name, 0) if family is EVENTS else Hint(file=name, offset=0)


def flip_in_signature(tape: Tape) -> Hint | None:
    """One bit of the checkpoint."""
    _flip(tape, "checkpoint", tape.random.randrange(len(tape.original.files["checkpoint"])))
    return Hint(file="checkpoint")


def flip_in_key(tape: Tape) -> Hint | None:
    """One bit of the public key."""
    _flip(tape, "vkey", tape.random.randrange(len(tape.original.files["vkey"])))
    return Hint(file="vkey")


def cut_a_segment(tape: Tape) -> Hint | None:
    """The end of a segment, within or between records."""
    index = tape.pick()
    if index is None:
        return None
    name, begin, end = _frames(tape, EVENTS)[index]
    at = begin if tape.random.random() < 0.5 else tape.random.randrange(begin + 1, end)
    (tape.where / name).write_bytes(tape.original.files[name][:at])
    return Hint(index, index)


def remove_a_segment(tape: Tape) -> Hint | None:
    """A file with events."""
    first = tape.random.choice([one for one in tape.original.firsts["events"] if one < tape.high])
    (tape.where / f"events/{first:012d}.seg").unlink()
    return Hint(first, first)


def remove_content(tape: Tape) -> Hint | None:
    """A file with payloads: what events name is not there, and they say so."""
    first = tape.random.choice(tape.original.firsts["payloads"])
    (tape.where / f"payloads/{first:012d}.seg").unlink()
    return Hint(rule=True)


def put_other_content(tape: Tape) -> Hint | None:
    """Another text in place of a stored one, with a hash of its own."""
    places = _frames(tape, PAYLOADS)
    number = tape.random.randrange(len(places))
    tape.payloads[number] = tape.random.randbytes(len(tape.payloads[number]))
    before = {path.name: path.read_bytes() for path in (tape.where / "events").iterdir()}
    tape.write(signed=False)
    for name, body in before.items():
        (tape.where / "events" / name).write_bytes(body)
    return Hint(rule=True)


def change_places_of_segments(tape: Tape) -> Hint | None:
    """Two files of events under each other's name."""
    firsts = [one for one in tape.original.firsts["events"] if one < tape.high]
    if len(firsts) < 2:
        return None
    one, other = tape.random.sample(firsts, 2)
    names = [f"events/{first:012d}.seg" for first in (one, other)]
    for name, instead in zip(names, names[::-1], strict=True):
        (tape.where / name).write_bytes(tape.original.files[instead])
    first = min(one, other)
    return Hint(first, first, f"events/{first:012d}.seg", 0)


def repeat_a_segment(tape: Tape) -> Hint | None:
    """A file of events a second time, under a name between others."""
    first = tape.random.choice([one for one in tape.original.firsts["events"] if one < tape.high])
    name = f"events/{first + 1:012d}.seg"
    (tape.where / name).write_bytes(tape.original.files[f"events/{first:012d}.seg"])
    return Hint(file=name)


def put_a_file(tape: Tape) -> Hint | None:
    """A file that is none of the ledger's."""
    name = tape.random.choice(["notes", "events/x.seg", "payloads/1.seg", "checkpoint.old"])
    (tape.where / name).write_bytes(b"x")
    return Hint(file=name)


def edit_unsigned(tape: Tape) -> Hint | None:
    """An edited event with its hash, under the old signature."""
    index = tape.pick("request.received")
    if index is None:
        return None
    tape.leaves[index]["data"]["model"] = "large"
    return tape.lay_down(index, signed=False)


def delete_unsigned(tape: Tape) -> Hint | None:
    """An event less, all others numbered anew, under the old signature."""
    index = tape.pick("log.read", "record.read", "key.created", "exchange.appealed")
    if index is None:
        return None
    del tape.leaves[index]
    return tape.lay_down(index, signed=False)


def sign_with_another_key(tape: Tape) -> Hint | None:
    """Everything as it was but for the key."""
    tape.signer = Signer(tape.origin, tape.random.randbytes(32))
    tape.write()
    return Hint(file="vkey")


def call_it_another_ledger(tape: Tape) -> Hint | None:
    """Another name in all events, checkpoint and key."""
    tape.origin = "elsewhere.example/test"
    tape.signer = Signer(tape.origin, (tape.original.home / "keys" / "signing.key").read_bytes())
    tape.write()
    return Hint(file="vkey")


CRUDE: tuple[Change, ...] = (
    flip_in_event, flip_in_content, flip_in_first_line, flip_in_signature, flip_in_key,
    cut_a_segment, remove_a_segment, remove_content, put_other_content,
    change_places_of_segments, repeat_a_segment, put_a_file, edit_unsigned, delete_unsigned,
    sign_with_another_key, call_it_another_ledger,
)  # fmt: skip
