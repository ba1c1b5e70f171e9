"""Bundles that were changed after they were made: both verifiers must find each change.

The one with `cryptography` and the single file with Python's library alone were written apart, so
each test asks both.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.checkpoint import Signer, VerifierKey
from sekisho_audit.exports import bundle_form as form
from sekisho_audit.exports import standalone
from sekisho_audit.report import Report, Verdict
from sekisho_audit.verify_bundle import is_bundle, verify_bundle
from support.bundles import Made, exported, packed, parts
from support.ledgers import ORIGIN, open_ledger, run_exchange, run_held_exchange

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, bytes]:
    """A bundle of all exchanges, and a checkpoint from before the last of them."""
    home = tmp_path_factory.mktemp("b")
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    run_held_exchange(ledger, "s-1")
    ledger.write_checkpoint()
    kept = (ledger.directory / "checkpoint").read_bytes()
    for _ in range(3):
        run_exchange(ledger, "s-1")
    made = exported(ledger, home, lambda leaf: leaf["exchange"] is not None, kept=kept)
    ledger.close()
    return made, kept


@pytest.fixture(scope="module")
def bundle(made: tuple[Made, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made[0].write(tmp_path_factory.mktemp("w") / "case.evidence.zip")


@pytest.fixture
def key(made: tuple[Made, bytes]) -> VerifierKey:
    return made[0].export.key


def second(path: Path, key: VerifierKey | None, pinned: bytes | None = None) -> tuple[int, str]:
    """What the single file says."""
    known = None if key is None else standalone.key_of(key.line())
    return standalone.judged(path, known, pinned)


def verdicts(
    path: Path, key: VerifierKey | None, pinned: bytes | None = None
) -> tuple[int, Report]:
    """What both say; they must agree."""
    report = verify_bundle(path, key=key, pinned=pinned)
    code, said = second(path, key, pinned)
    assert code == report.verdict, (said, report)
    return code, report


def resigned(made: Made, files: Files) -> Files:
    """Files with a manifest that fits them, signed by the ledger's key: the exporter cheats."""
    manifest = json.loads(files[form.MANIFEST])
    held = {name: body for name, body in files.items() if not name.startswith("manifest.")}
    manifest["files"] = {
        name: {"bytes": len(body), "sha256": standalone.hashlib.sha256(body).hexdigest()}
        for name, body in held.items()
    }
    raw = form.manifest_bytes(manifest)
    return {**held, form.MANIFEST: raw, form.SIGNATURE: made.sign(raw)}


def test_a_bundle_as_it_was_made_is_sound(bundle: Path, key: VerifierKey) -> None:
    code, report = verdicts(bundle, key)
    assert code == 0
    assert report.size == sum(report.types.values()) == len(parts(bundle)[form.EVENTS].splitlines())
    assert is_bundle(bundle)
    assert not is_bundle(bundle.parent)
    assert any("--pinned" in note for note in report.notes)


def test_packed_again_by_another_program_it_is_still_sound(
    made: tuple[Made, bytes], bundle: Path, tmp_path: Path, key: VerifierKey
) -> None:
    """Also what the tests below rest on: not the packing is found, but the change."""
    again = packed(tmp_path / "c.zip", parts(bundle))
    assert verdicts(again, key)[0] == 0
    assert verdicts(packed(tmp_path / "c.zip", resigned(made[0], parts(bundle))), key)[0] == 0


def test_without_a_key_nobody_can_tell(bundle: Path) -> None:
    code, report = verdicts(bundle, None)
    assert code == 2
    assert "--key" in str(report.doubts[0])


def test_another_key_is_another_ledger_or_one_that_nothing_leads_to(bundle: Path) -> None:
    """Of the same name it may be the key of before or after: what to do is said."""
    code, report = verdicts(bundle, Signer(ORIGIN, b"x" * 32).key)
    assert code == 2
    assert "--key-changes" in str(report.doubts[0])
    assert verdicts(bundle, Signer("elsewhere", b"x" * 32).key)[0] == 1


@pytest.mark.parametrize("name", ["", "no zip", "PK\x03\x04 broken"])
def test_what_is_no_zip_file_says_nothing(tmp_path: Path, key: VerifierKey, name: str) -> None:
    path = tmp_path / "x.zip"
    path.write_text(name)
    assert verdicts(path, key)[0] == 2
    assert verdicts(tmp_path / "missing.zip", key)[0] == 2


def test_every_file_is_covered(bundle: Path, tmp_path: Path, key: VerifierKey) -> None:
    """A changed byte, a missing file, a file more, a file under another name."""
    whole = parts(bundle)
    for name, content in whole.items():
        for changed in (
            {**whole, name: bytes([content[0] ^ 1]) + content[1:]},
            {**whole, name: content + b"\n"},
            {**whole, name: content[:-1]},
            {other: body for other, body in whole.items() if other != name},
            {(f"{other}x" if other == name else other): body for other, body in whole.items()},
        ):
            assert verdicts(packed(tmp_path / "c.zip", changed), key)[0] == 1, name
    assert verdicts(packed(tmp_path / "c.zip", {**whole, "readme.txt": b"hi"}), key)[0] == 1


def without_line(name: str, number: int) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        lines = files[name].splitlines(keepends=True)
        del lines[number]
        files[name] = b"".join(lines)

    return change


def in_both(number: int) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        without_line(form.EVENTS, number)(files)
        without_line(form.PROOFS, number)(files)

    return change


def said(*path: str, value: Any) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        manifest = json.loads(files[form.MANIFEST])
        inner = manifest
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        files[form.MANIFEST] = form.manifest_bytes(manifest)

    return change


def fewer_counted(files: Files) -> None:
    """An event less, and the manifest says so."""
    in_both(-2)(files)
    count = len(files[form.EVENTS].splitlines())
    said("selection", "events", value=count)(files)


def swapped(files: Files) -> None:
    first, second, *rest = files[form.EVENTS].splitlines(keepends=True)
    files[form.EVENTS] = b"".join((second, first, *rest))


def other_text(files: Files) -> None:
    files[form.EVENTS] = files[form.EVENTS].replace(b'"model":"small"', b'"model":"great"', 1)


CHANGES: dict[str, Callable[[Files], None]] = {
    "first event gone": in_both(0),
    "last proof gone": in_both(-1),
    "event without proof": without_line(form.EVENTS, 0),
    "proof without event": without_line(form.PROOFS, 2),
    "no export": without_line(form.EXPORT_EVENT, 0),
    "fewer counted": fewer_counted,
    "swapped": swapped,
    "other text": other_text,
    "query effect:allow": said("query", value="effect:allow"),
    "purpose another": said("purpose", value="another"),
    "ticket T-2": said("ticket", value="T-2"),
    "selection events 1": said("selection", "events", value=1),
    "selection size 3": said("selection", "size", value=3),
    "selection root 00 * 32": said("selection", "root", value="00" * 32),
    "selection None": said("selection", value=None),
    "export index 1": said("export", "index", value=1),
    "export commit_key 00 * 32": said("export", "commit_key", value="00" * 32),
    "export commit_key xyz": said("export", "commit_key", value="xyz"),
    "at_us 1": said("at_us", value=1),
    "ledger elsewhere": said("ledger", value="elsewhere"),
    "checkpoint size 4": said("checkpoint", "size", value=4),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whoever_exports_cannot_cheat(
    change: Callable[[Files], None],
    made: tuple[Made, bytes],
    bundle: Path,
    tmp_path: Path,
    key: VerifierKey,
) -> None:
    """With a manifest that fits and a good signature: what is left is the signed ledger."""
    files = parts(bundle)
    change(files)
    code, report = verdicts(packed(tmp_path / "c.zip", resigned(made[0], files)), key)
    assert code == 1
    assert report.faults


def test_a_bundle_of_another_version_says_nothing(
    made: tuple[Made, bytes], bundle: Path, tmp_path: Path, key: VerifierKey
) -> None:
    files = parts(bundle)
    said("format", value="sekisho-evidence/v2")(files)
    assert verdicts(packed(tmp_path / "c.zip", resigned(made[0], files)), key)[0] == 2


def test_an_export_of_something_else_is_no_evidence(
    made: tuple[Made, bytes], bundle: Path, tmp_path: Path, key: VerifierKey
) -> None:
    """The event of the export must be one; any other proved event is not."""
    files = parts(bundle)
    line, *rest = files[form.EVENTS].splitlines(keepends=True)
    files[form.EVENTS] = b"".join(rest)
    files[form.EXPORT_EVENT] = line
    first, *others = files[form.PROOFS].splitlines(keepends=True)
    files[form.PROOFS] = b"".join((*others[:-1], first))
    assert verdicts(packed(tmp_path / "c.zip", resigned(made[0], files)), key)[0] == 1


def member(name: str, content: bytes = b"x", mode: int = 0o100644) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info, content


@pytest.mark.parametrize(
    "members",
    ids=str,
    argvalues=[
        [member("../evil")],
        [member("/etc/evil")],
        [member("a\\b")],
        [member("C:evil")],
        [member("a/b/c")],
        [member("A.TXT")],
        [member("a\x00.txt")],
        [member("link", b"/etc/passwd", 0o120777)],
        [member("manifest.json", b"{}"), member("manifest.json", b"{}")],
        [member("folder/", b"", 0o040755)],
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_names_are_refused(
    members: list[tuple[zipfile.ZipInfo, bytes]], bundle: Path, tmp_path: Path, key: VerifierKey
) -> None:
    path = tmp_path / "h.zip"
    path.write_bytes(bundle.read_bytes())
    with zipfile.ZipFile(path, "a") as held:
        for info, content in members:
            held.writestr(info, content)
    assert verdicts(path, key)[0] == 1


def test_a_bomb_does_not_go_off(bundle: Path, tmp_path: Path, key: VerifierKey) -> None:
    """A member that says it is small and is not; and one that says it is huge."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("manifest.json", b" " * 30_000_000)
    raw = bytearray(path.read_bytes())
    assert verdicts(path, key)[0] == 1
    for at in (raw.find(b"PK\x01\x02") + 24, 22):
        raw[at : at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(raw)
    assert verdicts(path, key)[0] == 1
    raw[raw.find(b"PK\x01\x02") + 24 :][:4] = b"\xff\xff\xff\xf0"
    path.write_bytes(raw)
    assert verdicts(path, key)[0] == 1


def test_very_many_files_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, bundle: Path, key: VerifierKey
) -> None:
    monkeypatch.setattr("sekisho_audit.exports.archive.FILES_MAX", 3)
    monkeypatch.setattr(standalone, "FILES_MAX", 3)
    assert verdicts(bundle, key)[0] == 1


@pytest.mark.parametrize("cut", [1, 30, 2_000])
def test_a_bundle_that_did_not_arrive_whole(
    cut: int, bundle: Path, tmp_path: Path, key: VerifierKey
) -> None:
    path = tmp_path / "cut.zip"
    path.write_bytes(bundle.read_bytes()[:-cut])
    assert verdicts(path, key)[0] != 0


def test_any_flipped_byte_is_found(bundle: Path, tmp_path: Path, key: VerifierKey) -> None:
    """What a flip can touch without being found is dates and the like, which nobody is told."""
    whole = bundle.read_bytes()
    path = tmp_path / "flip.zip"
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        code, _ = verdicts(path, key)
        assert code != 0 or parts(path) == parts(bundle), at


# -- checkpoints kept from earlier


def test_a_checkpoint_kept_from_earlier_is_compared(
    made: tuple[Made, bytes], bundle: Path, key: VerifierKey
) -> None:
    code, report = verdicts(bundle, key, made[1])
    assert code == 0
    assert not [note for note in report.notes if "--pinned" in note]
    assert verdicts(bundle, key, parts(bundle)[form.CHECKPOINT])[0] == 0


def test_a_rewritten_ledger_is_found(
    made: tuple[Made, bytes], bundle: Path, key: VerifierKey
) -> None:
    lines = made[1].decode().split("\n")
    forged = f"{lines[0]}\n{lines[1]}\n{standalone.base64.b64encode(b'r' * 32).decode()}\n"
    assert verdicts(bundle, key, made[0].signer.sign_text(forged))[0] == 1


def test_a_checkpoint_that_the_bundle_does_not_know_leaves_a_doubt(
    made: tuple[Made, bytes], bundle: Path, key: VerifierKey
) -> None:
    other = f"{ORIGIN}\n2\n{standalone.base64.b64encode(b'r' * 32).decode()}\n"
    code, report = verdicts(bundle, key, made[0].signer.sign_text(other))
    assert code == 2
    assert "--pinned" in str(report.doubts[0])
    assert verdicts(bundle, key, b"nonsense")[0] == 2


def test_nothing_in_it_steers_a_terminal(tmp_path: Path, key: VerifierKey) -> None:
    path = packed(tmp_path / "x.zip", {"manifest.json": b'{"format":"sekisho-evidence/v1"}'})
    with zipfile.ZipFile(path, "a") as held:
        held.writestr(zipfile.ZipInfo("\x1b[31mred"), b"")
    code, text = second(path, key)
    assert code == 1
    assert "\x1b" not in text
    assert "\x1b" not in str(verify_bundle(path, key=key).faults[0])


def test_a_verdict_is_one_of_three(bundle: Path, key: VerifierKey) -> None:
    assert Verdict(verdicts(bundle, key)[0]) is Verdict.SOUND
    assert io.BytesIO(bundle.read_bytes()).read(2) == b"PK"
