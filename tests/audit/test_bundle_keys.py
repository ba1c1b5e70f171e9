"""Bundles from before and after changes of keys, under each key; and what a thief of one can do.

Both verifiers are asked, the installed one and the single file; they must agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from sekisho_audit.bundle_keys import CHANGES_MAX, REPLACED, read_changes
from sekisho_audit.canon import decode, encode
from sekisho_audit.checkpoint import BadNote, Signer, VerifierKey, read_unverified
from sekisho_audit.exports import bundle_form as form
from sekisho_audit.exports import standalone
from sekisho_audit.exports.tables import Stored, json_line, read_json_line
from sekisho_audit.key_chain import statement, stored_rotations
from sekisho_audit.report import Report
from sekisho_audit.verify_bundle import verify_bundle
from support.bundles import Made, exported, packed, parts
from support.ledgers import ORIGIN, open_ledger, run_exchange

Files = dict[str, bytes]
STRANGER = Signer(ORIGIN, b"x" * 32)


class Story:
    """A ledger with two changes of keys; a bundle of each of the three times."""

    def __init__(self, home: Path) -> None:
        ledger = open_ledger(home)
        ledger.open_session("s-1", 1)
        self.made: list[Made] = []
        self.kept: list[bytes] = []
        for number in range(3):
            run_exchange(ledger, "s-1")
            ledger.write_checkpoint()
            self.kept.append(ledger.note())
            run_exchange(ledger, "s-1")
            made = exported(
                ledger, home, lambda leaf: leaf["exchange"] is not None, kept=self.kept[0]
            )
            made.write(home / f"{number}.evidence.zip")
            self.made.append(made)
            if number < 2:
                ledger.rotate_key()
        self.home = home
        self.keys = list(ledger.keys)
        changes = (
            json_line(Stored(leaf["n"], raw)) for leaf, raw in stored_rotations(ledger.directory)
        )
        self.changes = b"".join(changes)
        ledger.close()

    def bundle(self, number: int) -> Path:
        return self.home / f"{number}.evidence.zip"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("k"))


def verdicts(
    path: Path, key: VerifierKey | None, pinned: bytes | None = None, changes: bytes = b""
) -> tuple[int, Report]:
    """What both say; they must agree."""
    report = verify_bundle(path, key=key, pinned=pinned, changes=changes)
    known = None if key is None else standalone.key_of(key.line())
    code, said = standalone.judged(path, known, pinned, changes)
    assert code == report.verdict, (said, report)
    return code, report


def resigned(files: Files, signer: Signer) -> Files:
    """With a manifest that fits the files, signed by the one who packs them."""
    held = {name: body for name, body in files.items() if not name.startswith("manifest.")}
    manifest = json.loads(files[form.MANIFEST])
    manifest["files"] = {
        name: {"bytes": len(body), "sha256": sha256(body).hexdigest()}
        for name, body in held.items()
    }
    raw = form.manifest_bytes(manifest)
    text = form.signed_text(raw, ORIGIN, manifest["export"]["index"])
    return {**held, form.MANIFEST: raw, form.SIGNATURE: signer.sign_text(text)}


def test_a_bundle_verifies_with_every_key_up_to_its_own(story: Story) -> None:
    """The oldest key that somebody kept, with the checkpoint kept then, and those between."""
    for number in range(3):
        for key in story.keys[: number + 1]:
            for pinned in (None, story.kept[0]):
                code, report = verdicts(story.bundle(number), key, pinned)
                assert (code, report.doubts) == (0, [])
                assert len(report.keys) == number
                assert REPLACED not in report.notes


def test_a_bundle_of_before_verifies_with_a_later_key_and_the_changes(story: Story) -> None:
    """It says what that is worth; without the changes nobody can tell."""
    for number in range(2):
        for key in story.keys[number + 1 :]:
            assert verdicts(story.bundle(number), key)[0] == 2
            code, report = verdicts(story.bundle(number), key, story.kept[0], story.changes)
            assert (code, report.doubts) == (0, [])
            assert REPLACED in report.notes


def test_the_changes_of_a_newer_bundle_will_do(story: Story) -> None:
    newer = parts(story.bundle(2))[form.CHANGES]
    assert newer == story.changes
    for key in story.keys:
        for number in range(3):
            assert verdicts(story.bundle(number), key, None, newer)[0] == 0


def test_a_bundle_without_the_changes_still_verifies_with_its_own_key(
    story: Story, tmp_path: Path
) -> None:
    """As they were made before bundles had them."""
    files = parts(story.bundle(2))
    for name in (form.CHANGES, form.CHANGE_PROOFS, form.PINNED, form.CONSISTENCY):
        del files[name]
    path = packed(tmp_path / "b.zip", resigned(files, story.made[2].signer))
    assert verdicts(path, story.keys[2])[0] == 0
    assert verdicts(path, story.keys[0])[0] == 2
    assert verdicts(path, story.keys[0], None, story.changes)[0] == 0


def line(
    name: str, number: int, change: Callable[[dict[str, object]], None]
) -> Callable[[Files], None]:
    """One line of a file is another."""

    def run(files: Files) -> None:
        lines = files[name].splitlines(keepends=True)
        document = json.loads(lines[number])
        change(document)
        lines[number] = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        files[name] = b"".join(lines)

    return run


def without(name: str, number: int) -> Callable[[Files], None]:
    def run(files: Files) -> None:
        lines = files[name].splitlines(keepends=True)
        del lines[number]
        files[name] = b"".join(lines)

    return run


def both(number: int) -> Callable[[Files], None]:
    def run(files: Files) -> None:
        without(form.CHANGES, number)(files)
        without(form.CHANGE_PROOFS, number)(files)

    return run


def an_event(files: Files) -> None:
    """Another event of the ledger, well proved, in the place of a change of keys."""
    proof = json.loads(files[form.PROOFS].splitlines()[0])
    files[form.CHANGES] = files[form.EVENTS].splitlines(keepends=True)[0]
    files[form.CHANGE_PROOFS] = json.dumps({**proof, "since": []}).encode() + b"\n"


TRICKS: dict[str, Callable[[Files], None]] = {
    "the first change is left out": both(0),
    "the last change is left out": both(1),
    "one proof is left out": without(form.CHANGE_PROOFS, 1),
    "one change is left out": without(form.CHANGES, 1),
    "no proof of what both signed": line(form.CHANGE_PROOFS, 1, lambda one: one.update(since=[])),
    "no word of it": line(form.CHANGE_PROOFS, 0, lambda one: one.pop("since") and None),
    "no path": line(form.CHANGE_PROOFS, 0, lambda one: one.update(path=[])),
    "another event": an_event,
    "the file of proofs is gone": lambda files: files.pop(form.CHANGE_PROOFS) and None,
    "they stand twice": lambda files: files.update(
        {name: files[name] * 2 for name in (form.CHANGES, form.CHANGE_PROOFS)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_whoever_has_the_last_key_cannot_cheat_about_the_changes(
    story: Story, tmp_path: Path, trick: Callable[[Files], None]
) -> None:
    """For whoever kept the first key: never sound."""
    files = parts(story.bundle(2))
    trick(files)
    path = packed(tmp_path / "b.zip", resigned(files, story.made[2].signer))
    assert verdicts(path, story.keys[0])[0] != 0


def forged(story: Story, new: Signer, *signers: Signer) -> bytes:
    """A file of changes in which the last one is another: to `new`, signed by these."""
    *lines, last = story.changes.splitlines(keepends=True)
    event, _ = read_json_line(last.rstrip(b"\n"))
    leaf = decode(event.body)
    before = read_unverified(leaf["data"]["note"].encode())
    note = signers[0].sign_text(statement(before, new.key), *signers[1:])
    leaf["data"].update(new=new.key.line(), note=note.decode())
    return b"".join([*lines, json_line(Stored(event.index, encode(leaf)))])


@pytest.mark.parametrize("by", ["the new key", "the old key", "both, back to the first key"])
def test_changes_that_do_not_hold_lead_nowhere(story: Story, by: str) -> None:
    """Whoever has one key names his own; whoever has all of them brings a replaced one back."""
    first, second, _ = (made.signer for made in story.made)
    changes = {
        "the new key": forged(story, STRANGER, STRANGER),
        "the old key": forged(story, STRANGER, second),
        "both, back to the first key": forged(story, first, second, first),
    }[by]
    for key in (*story.keys, STRANGER.key):
        for number in range(3):
            assert verdicts(story.bundle(number), key, None, changes)[0] == 1


def test_a_key_that_was_replaced_signs_no_new_bundle(story: Story, tmp_path: Path) -> None:
    """The thief of the first key signs the last state with it."""
    thief = story.made[0].signer
    files = parts(story.bundle(2))
    files[form.KEY] = thief.key.line().encode() + b"\n"
    files[form.CHECKPOINT] = thief.sign(read_unverified(files[form.CHECKPOINT]))
    path = packed(tmp_path / "b.zip", resigned(files, thief))
    for key in story.keys:
        assert verdicts(path, key, None, story.changes)[0] == 1


def test_the_bundle_and_what_you_have_must_not_contradict_one_another(story: Story) -> None:
    changes = forged(story, STRANGER, story.made[1].signer, STRANGER)
    assert verdicts(story.bundle(2), story.keys[0], None, changes)[0] == 1


@pytest.mark.parametrize("raw", [b"x\n", b"no end", b"{}\n", b"\xff\n"])
def test_what_is_no_file_of_changes_is_refused(story: Story, raw: bytes) -> None:
    assert verdicts(story.bundle(0), story.keys[0], None, raw)[0] == 1


def test_a_file_of_changes_is_bounded() -> None:
    with pytest.raises(BadNote):
        read_changes(b"\n" * (CHANGES_MAX + 1), ORIGIN)
