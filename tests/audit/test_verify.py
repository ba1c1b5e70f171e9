"""What an attacker with the disk can do to a ledger, and whether the verifier sees it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sekisho_audit.canon import decode, encode
from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, Segment, frames
from sekisho_audit.store import frame
from sekisho_audit.tree import leaf_hash, root_of
from sekisho_audit.verify import verify
from support.ledgers import ORIGIN, open_ledger, run_exchange, run_held_exchange, small_ledger

FIRST = "000000000000.seg"


def leaves_of(ledger: Path) -> list[bytes]:
    return [item.body for item in frames(Segment(ledger / "events" / FIRST, 0), EVENTS)]


def write_leaves(ledger: Path, bodies: list[bytes]) -> None:
    stored = b"".join(frame(leaf_hash(body), body) for body in bodies)
    (ledger / "events" / FIRST).write_bytes(EVENTS.header(0) + stored)


def resign(home: Path, ledger: Path) -> None:
    """Sign what is there with the real key, as an insider could."""
    bodies = leaves_of(ledger)
    signer = Signer(ORIGIN, (home / "keys" / "signing.key").read_bytes())
    root = root_of([leaf_hash(body) for body in bodies])
    (ledger / "checkpoint").write_bytes(signer.sign(Checkpoint(ORIGIN, len(bodies), root)))


def test_clean_ledger_is_sound(tmp_path: Path) -> None:
    """A ledger that nobody touched is sound, wholly signed, with nothing open."""
    report = verify(small_ledger(tmp_path))
    assert report.verdict is Verdict.SOUND
    assert not report.faults
    assert (report.unsigned_events, report.open_intents, report.payloads_unnamed) == (0, 0, 0)
    assert report.types["backend.intent"] == report.types["backend.outcome"] == 2


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    """A changed byte at any offset of any file makes the verdict `tampered`."""
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    run_held_exchange(opened, "s-1")
    opened.close()
    ledger, missed = opened.directory, []
    for path in sorted(item for item in ledger.rglob("*") if item.is_file()):
        original = path.read_bytes()
        for offset in range(len(original)):
            changed = bytearray(original)
            changed[offset] ^= 1 << (offset % 8)
            path.write_bytes(changed)
            if verify(ledger).verdict is not Verdict.TAMPERED:
                missed.append((path.name, offset))
        path.write_bytes(original)
    assert missed == []
    assert verify(ledger).verdict is Verdict.SOUND


def test_a_fault_names_file_offset_and_event(tmp_path: Path) -> None:
    """The report tells where the changed record stands."""
    ledger = small_ledger(tmp_path)
    path = ledger / "events" / FIRST
    third = list(frames(Segment(path, 0), EVENTS))[3]
    changed = bytearray(path.read_bytes())
    changed[third.offset + 60] ^= 1
    path.write_bytes(changed)
    fault = verify(ledger).faults[0]
    assert (fault.file, fault.offset) == (f"events/{FIRST}", third.offset)


@pytest.mark.parametrize("name", ["events", "payloads"])
def test_every_cut_is_found(tmp_path: Path, name: str) -> None:
    """A segment cut anywhere after a clean stop is `tampered`."""
    ledger = small_ledger(tmp_path)
    path = ledger / name / FIRST
    original = path.read_bytes()
    for size in range(0, len(original), 7):
        path.write_bytes(original[:size])
        assert verify(ledger).verdict is Verdict.TAMPERED, size


@pytest.mark.parametrize("name", ["events/" + FIRST, "payloads/" + FIRST, "checkpoint"])
def test_removed_file_is_found(tmp_path: Path, name: str) -> None:
    """A missing segment or checkpoint is `tampered`."""
    ledger = small_ledger(tmp_path)
    (ledger / name).unlink()
    assert verify(ledger).verdict is Verdict.TAMPERED


@pytest.mark.parametrize("name", ["checkpoint.new", "vkey.new"])
def test_what_a_kill_leaves_beside_a_file_is_no_tampering(tmp_path: Path, name: str) -> None:
    """A file that was to take the place of another means nothing, whatever it holds."""
    ledger = small_ledger(tmp_path)
    (ledger / name).write_bytes(b"")
    assert verify(ledger).verdict is Verdict.SOUND


def test_foreign_file_is_found(tmp_path: Path) -> None:
    """A file that belongs to no part of the format is reported."""
    ledger = small_ledger(tmp_path)
    (ledger / "events" / "notes.txt").write_text("hello")
    assert verify(ledger).verdict is Verdict.TAMPERED


def test_garbage_behind_the_end_is_doubt(tmp_path: Path) -> None:
    """Bytes behind everything signed could be a killed writer: nothing is said of them."""
    ledger = small_ledger(tmp_path)
    with (ledger / "events" / FIRST).open("ab") as file:
        file.write(b"\x00\x00\x00\x09garbage")
    assert verify(ledger).verdict is Verdict.CANNOT_TELL


def test_unsigned_event_behind_the_end_is_never_vouched_for(tmp_path: Path) -> None:
    """Anybody with the disk can append an event that fits; the report counts it as unsigned."""
    ledger = small_ledger(tmp_path)
    last = decode(leaves_of(ledger)[-1])
    boot = "5f0c9b1e-0000-4000-8000-000000000000"
    data = {"boot": boot, "last": last["n"], "cut": 0}
    forged = {**last, "n": last["n"] + 1, "boot": boot, "type": "audit.boot", "data": data}
    body = encode(forged)
    with (ledger / "events" / FIRST).open("ab") as file:
        file.write(frame(leaf_hash(body), body))
    report = verify(ledger)
    assert (report.unsigned_events, report.signed_size) == (1, last["n"] + 1)
    assert any("nobody has signed" in note for note in report.notes)


def test_swapped_events_are_found(tmp_path: Path) -> None:
    """Two events in each other's place are found by their numbers and by the root."""
    ledger = small_ledger(tmp_path)
    bodies = leaves_of(ledger)
    bodies[2], bodies[3] = bodies[3], bodies[2]
    write_leaves(ledger, bodies)
    assert verify(ledger).verdict is Verdict.TAMPERED


def test_edit_without_the_key_is_found(tmp_path: Path) -> None:
    """An edited event with all hashes recomputed does not fit the signed root."""
    ledger = small_ledger(tmp_path)
    bodies = leaves_of(ledger)
    bodies[2] = bodies[2].replace(b'"model":"small"', b'"model":"large"')
    write_leaves(ledger, bodies)
    report = verify(ledger)
    assert report.verdict is Verdict.TAMPERED
    assert any("not the ones" in str(fault) for fault in report.faults)


def test_own_key_is_found_by_key(tmp_path: Path) -> None:
    """Whoever signs a rewritten ledger with another key is found by --key."""
    ledger = small_ledger(tmp_path)
    real = VerifierKey.parse((ledger / "vkey").read_text().strip())
    forger = Signer(ORIGIN, bytes(32))
    bodies = leaves_of(ledger)
    root = root_of([leaf_hash(body) for body in bodies])
    (ledger / "checkpoint").write_bytes(forger.sign(Checkpoint(ORIGIN, len(bodies), root)))
    (ledger / "vkey").write_text(forger.key.line() + "\n")
    assert verify(ledger).verdict is Verdict.SOUND
    assert "trusted" in " ".join(verify(ledger).notes)
    assert verify(ledger, key=real).verdict is Verdict.TAMPERED


def test_insider_with_the_key_is_found_by_pinned(tmp_path: Path) -> None:
    """An edit signed with the real key fits itself, but not a checkpoint kept elsewhere."""
    ledger = small_ledger(tmp_path)
    pinned = (ledger / "checkpoint").read_bytes()
    bodies = leaves_of(ledger)
    bodies[2] = bodies[2].replace(b'"model":"small"', b'"model":"large"')
    write_leaves(ledger, bodies)
    resign(tmp_path, ledger)
    assert verify(ledger).verdict is Verdict.SOUND
    assert verify(ledger, pinned=pinned).verdict is Verdict.TAMPERED


def test_truncation_below_pinned_is_found(tmp_path: Path) -> None:
    """Fewer events than a kept checkpoint says is `tampered`, however well it is signed."""
    ledger = small_ledger(tmp_path)
    pinned = (ledger / "checkpoint").read_bytes()
    write_leaves(ledger, leaves_of(ledger)[:1])
    payloads = ledger / "payloads" / FIRST
    payloads.write_bytes(PAYLOADS.header(0))
    resign(tmp_path, ledger)
    assert verify(ledger).verdict is Verdict.SOUND
    assert verify(ledger, pinned=pinned).verdict is Verdict.TAMPERED


def test_growth_keeps_a_pinned_checkpoint_good(tmp_path: Path) -> None:
    """A ledger that only grew still fits a checkpoint kept from before."""
    ledger = small_ledger(tmp_path)
    pinned = (ledger / "checkpoint").read_bytes()
    again = open_ledger(tmp_path)
    again.open_session("s-2", 2)
    run_exchange(again, "s-2")
    again.close()
    assert verify(ledger, pinned=pinned).verdict is Verdict.SOUND


def test_pinned_signed_by_somebody_else_is_doubt(tmp_path: Path) -> None:
    """A pinned file of the right content but another signature proves nothing."""
    ledger = small_ledger(tmp_path)
    bodies = leaves_of(ledger)
    root = root_of([leaf_hash(body) for body in bodies])
    forged = Signer(ORIGIN, bytes(32)).sign(Checkpoint(ORIGIN, len(bodies), root))
    assert verify(ledger, pinned=forged).verdict is Verdict.CANNOT_TELL


RULES = {
    "an intent without outcome after a clean stop": ("backend.outcome", "delete"),
    "an intent without decision": ("policy.decision", "delete"),
    "a released hold without its review": ("hold.review", "delete"),
    "a released hold without its approval": ("hold.settled", "delete"),
    "a released hold that was never filed": ("hold.filed", "delete"),
    "a boot that was not announced": ("audit.boot", "delete"),
    "an intent twice": ("backend.intent", "repeat"),
    "an outcome twice": ("backend.outcome", "repeat"),
    "a boot twice": ("audit.boot", "repeat"),
}


@pytest.mark.parametrize("story", RULES)
def test_broken_rule_is_found_though_well_signed(tmp_path: Path, story: str) -> None:
    """A ledger that its own key signed is still `tampered` if it breaks the rules."""
    ledger = small_ledger(tmp_path)
    kind, what = RULES[story]
    leaves = [decode(body) for body in leaves_of(ledger)]
    last = max(place for place, leaf in enumerate(leaves) if leaf["type"] == kind)
    leaves = (
        leaves[:last]
        + ([leaves[last]] if what == "repeat" else [])
        + (leaves[last:] if what == "repeat" else leaves[last + 1 :])
    )
    bodies = [encode({**leaf, "n": place}) for place, leaf in enumerate(leaves)]
    write_leaves(ledger, bodies)
    resign(tmp_path, ledger)
    report = verify(ledger)
    assert report.verdict is Verdict.TAMPERED, story
    assert report.faults[0].index is not None


FORGED = {
    "other bytes than approved": ("backend.intent", ["pl", 0, "commit"], "0" * 64),
    "another version than approved": ("backend.intent", ["data", "version"], 2),
    "another binding than approved": ("backend.intent", ["data", "binding"], "c" * 64),
    "another backend than approved": ("backend.intent", ["data", "backend"], "elsewhere"),
    "a denial that counts as approval": ("hold.review", ["data", "decision"], "deny"),
    "the requester reviews": ("hold.review", ["actor"], "principal"),
    "the requester reviews through a delegate": ("hold.review", ["data", "person"], "principal"),
    "an approval after its time": ("hold.filed", ["data", "expires_us"], 1),
    "one person in two thresholds": (
        "hold.filed",
        ["data", "thresholds"],
        [{"reviewers": name, "approve": 1, "deny": 1} for name in ("reviewer", "security")],
    ),
    "fewer reviews than required": ("hold.filed", ["data", "thresholds", 0, "approve"], 2),
    "an unknown field": ("backend.intent", ["data", "note"], "x"),
    "an unknown type": ("hold.delivered", ["type"], "hold.forgotten"),
    "a name in clear": ("backend.intent", ["principal"], "staff-7"),
    "another ledger": ("backend.intent", ["log"], "elsewhere"),
    "a missing payload": ("hold.filed", ["pl", 0, "ct"], "0" * 64),
    "policy denied it": ("policy.decision", ["data", "effect"], "deny"),
    "another exchange's outcome": (
        "backend.outcome",
        ["exchange"],
        "01a20aa5-b98b-718b-a87b-437dba199f6a",
    ),
}


@pytest.mark.parametrize("story", FORGED)
def test_forged_field_is_found_though_well_signed(tmp_path: Path, story: str) -> None:
    """A field changed by whoever holds the key is found if it breaks a rule or the schema."""
    ledger = small_ledger(tmp_path)
    kind, path, value = FORGED[story]
    leaves = [decode(body) for body in leaves_of(ledger)]
    leaf = [item for item in leaves if item["type"] == kind][-1]
    target = leaf
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = leaf["principal"] if value == "principal" else value
    write_leaves(ledger, [encode(item) for item in leaves])
    resign(tmp_path, ledger)
    assert verify(ledger).verdict is Verdict.TAMPERED, story


def test_leaf_in_another_spelling_is_found(tmp_path: Path) -> None:
    """The same JSON in other bytes is not the canonical leaf."""
    ledger = small_ledger(tmp_path)
    bodies = leaves_of(ledger)
    bodies[1] = bodies[1].replace(b'"v":1', b'"v": 1')
    write_leaves(ledger, bodies)
    resign(tmp_path, ledger)
    assert verify(ledger).verdict is Verdict.TAMPERED


def test_running_ledger_is_sound_and_says_what_is_open(tmp_path: Path) -> None:
    """Open intents of an open session are no fault, and events not yet signed are counted."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    report = verify(ledger.directory)
    assert report.verdict is Verdict.SOUND
    assert report.unsigned_events == 5
    ledger.close()


def test_data_directory_will_do(tmp_path: Path) -> None:
    """The directory around the ledger may be named as well."""
    small_ledger(tmp_path)
    assert verify(tmp_path / "data").verdict is Verdict.SOUND


@pytest.mark.parametrize("what", ["nothing", "empty", "file"])
def test_no_ledger_is_doubt(tmp_path: Path, what: str) -> None:
    """Where there is no ledger nothing can be said."""
    place = tmp_path / "x"
    if what == "empty":
        place.mkdir()
    if what == "file":
        place.write_text("x")
    assert verify(place).verdict is Verdict.CANNOT_TELL


def test_ledger_over_many_segments(tmp_path: Path) -> None:
    """Segments are followed in order, and a missing one in the middle is found."""
    ledger = small_ledger(tmp_path, segment_bytes=600)
    assert len(list((ledger / "events").iterdir())) > 3
    assert verify(ledger).verdict is Verdict.SOUND
    for name in ("events", "payloads"):
        copy = tmp_path / f"copy-{name}"
        shutil.copytree(ledger, copy)
        sorted((copy / name).iterdir())[1].unlink()
        assert verify(copy).verdict is Verdict.TAMPERED


def test_no_principal_and_no_content_in_the_ledger(tmp_path: Path) -> None:
    """No byte of the ledger directory shows who asked, who reviewed or what was said."""
    ledger = small_ledger(tmp_path)
    stored = b"".join(item.read_bytes() for item in ledger.rglob("*") if item.is_file())
    for secret in (b"canary-7731", b"Blue Heron", b"staff-7", b"reviewer-1"):
        assert secret not in stored


@pytest.mark.parametrize("folder", ["events", "payloads"])
def test_a_folder_that_was_removed_is_a_fault(tmp_path: Path, folder: str) -> None:
    """Not a place where there never was a ledger."""
    ledger = small_ledger(tmp_path)
    shutil.rmtree(ledger / folder)
    report = verify(ledger.parent)
    assert report.verdict is Verdict.TAMPERED
    assert any(fault.file == folder for fault in report.faults)
