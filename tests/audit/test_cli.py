"""`sekisho-audit` as an auditor uses it: words, exit codes, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.cli import main
from sekisho_audit.proof import Proof
from sekisho_audit.prove import prove
from sekisho_audit.receipt import Receipt
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tree import leaf_hash
from support.ledgers import ORIGIN, small_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return small_ledger(tmp_path)


def damage(ledger: Path) -> None:
    path = ledger / "events" / "000000000000.seg"
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    path.write_bytes(body)


def test_sound(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sound ledger: exit 0, and plainly what the verdict does not say."""
    assert main(["verify", str(ledger)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SOUND")
    assert "key found in the directory was trusted" in said


def test_tampered(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed byte: exit 1, with file and byte."""
    damage(ledger)
    assert main(["verify", str(ledger)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("TAMPERED")
    assert "events/000000000000.seg, byte" in said


@pytest.mark.parametrize("arguments", [["/nowhere"], ["."]])
def test_cannot_tell(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No ledger: exit 2, and why."""
    assert main(["verify", *arguments]) == 2
    assert "there is no ledger" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--key", "nonsense"], ["--key", "a+b+c"], ["--pinned", "/x"]])
def test_wrong_arguments(ledger: Path, option: list[str]) -> None:
    """A key or checkpoint that cannot be read is no verdict."""
    assert main(["verify", str(ledger), *option]) == 2


def test_key_and_pinned_from_files(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given key and checkpoint, nothing is left unsaid."""
    line = (ledger / "vkey").read_text().strip()
    pinned = ["--pinned", str(ledger / "checkpoint")]
    for key in (str(ledger / "vkey"), line):
        assert main(["verify", str(ledger), "--key", key, *pinned]) == 0
        assert "What this verdict does not say" not in capsys.readouterr().out


def test_json(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Machines get the same verdict with its facts."""
    assert main(["verify", str(ledger), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["says"]) == (0, "sound")
    assert report["types"]["hold.review"] == 1
    damage(ledger)
    assert main(["verify", str(ledger), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["offset"] > 0


def test_show_filters(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By type, by exchange, the last ones."""
    assert main(["show", str(ledger), "--type", "hold.", "--json"]) == 0
    leaves = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {leaf["type"].split(".")[0] for leaf in leaves} == {"hold"}
    exchange = leaves[0]["exchange"]
    assert main(["show", str(ledger), "--exchange", exchange, "--last", "2", "--json"]) == 0
    last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [leaf["type"] for leaf in last] == ["backend.outcome", "hold.delivered"]


def test_a_type_that_does_not_exist_is_told_with_those_that_do(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip must not look like a ledger in which nothing happened."""
    assert main(["show", str(ledger), "--type", "bogus"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "'bogus'" in said.err
    assert {"hold.filed", "key.revoked"} <= set(said.err.split())


@pytest.mark.parametrize("words", [("--type", "principal."), ("--exchange", "none")])
def test_finding_nothing_is_told(
    ledger: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """No slip and no error: there is no such event yet."""
    assert main(["show", str(ledger), *words]) == 0
    said = capsys.readouterr()
    assert not said.out
    assert "no such event" in said.err


def test_show_is_safe_on_a_terminal(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines are plain ASCII: no event can move the reader's cursor."""
    assert main(["show", str(ledger)]) == 0
    said = capsys.readouterr().out
    assert said.isascii()
    assert all(char.isprintable() or char == "\n" for char in said)


def test_names_of_foreign_files_are_made_harmless(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file name with escape codes is printed as text."""
    (ledger / "x\x1b[2Jy").write_text("x")
    assert main(["verify", str(ledger)]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "x\\x1b[2Jy" in said


def test_show_of_a_damaged_ledger_says_so(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be trusted is not shown in silence."""
    damage(ledger)
    for words in ((), ("--last", "1000")):
        assert main(["show", str(ledger), *words]) == 2
        assert "verify" in capsys.readouterr().err


def test_show_of_nothing(tmp_path: Path) -> None:
    """No ledger: exit 2."""
    assert main(["show", str(tmp_path)]) == 2


def test_verifier_needs_no_writer(ledger: Path) -> None:
    """The command runs without the writer's modules and without their dependencies."""
    script = (
        "import sys; sys.modules['orjson'] = None; from sekisho_audit.cli import main; "
        "code = main(sys.argv[1:]); "
        "writer = {'ledger', 'store', 'keyring', 'seal', 'auditd', 'writer', 'server', 'recover', "
        "'leaves', 'wire'}; "
        "loaded = {name.removeprefix('sekisho_audit.') for name in sys.modules}; "
        "sys.exit(99 if loaded & writer or 'sekisho' in loaded else code)"
    )
    command = [sys.executable, "-c", script, "verify", str(ledger)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


# -- proofs and receipts


def exchange_of(ledger: Path, capsys: pytest.CaptureFixture[str]) -> str:
    main(["show", str(ledger), "--json", "--type", "backend.intent", "--last", "1"])
    return str(json.loads(capsys.readouterr().out)["exchange"])


def test_a_proof_is_made_and_checked_without_the_ledger(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One event to standard output; an auditor with the key alone finds it sound."""
    key = (ledger / "vkey").read_text().strip()
    assert main(["prove", str(ledger), "--index", "2"]) == 0
    file = tmp_path / "two.tlog-proof"
    file.write_text(capsys.readouterr().out)
    assert main(["verify", str(file), "--key", key]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SOUND: the ledger's key signed a tree with exactly these events")
    assert main(["verify", str(file)]) == 2
    assert "No key was given" in capsys.readouterr().out
    file.write_text(file.read_text().replace("index 2", "index 3"))
    assert main(["verify", str(file), "--key", key]) == 1
    assert capsys.readouterr().out.startswith("TAMPERED: this file does not prove")


def test_all_proofs_of_an_exchange_go_to_files(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = exchange_of(ledger, capsys)
    assert main(["prove", str(ledger), "--exchange", exchange]) == 2
    assert "give --out" in capsys.readouterr().err
    assert main(["prove", str(ledger), "--exchange", exchange, "--out", str(tmp_path / "p")]) == 0
    files = sorted((tmp_path / "p").iterdir())
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    assert len(files) >= 4
    key = (ledger / "vkey").read_text().strip()
    for file in files:
        assert main(["verify", str(file), "--key", key]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--index", "99999"], "no such event"),
        (["--index", "-1"], "no such event"),
        (["--exchange", "nobody's"], "no such event"),
    ],
)
def test_what_cannot_be_proved_is_said(
    ledger: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["prove", str(ledger), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_nothing_is_proved_under_a_checkpoint_that_does_not_fit(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An event was taken away at the end: the tree does not lead to the signed root."""
    segment = ledger / "events" / "000000000000.seg"
    [*_, last] = list(frames(segments(ledger, EVENTS)[0], EVENTS))
    segment.write_bytes(segment.read_bytes()[: last.offset])
    assert main(["prove", str(ledger), "--index", "1"]) == 2
    assert "do not lead to the checkpoint" in capsys.readouterr().err


def test_receipts_as_the_gateway_answers_them(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON of /v1/audit/receipts/, with the receipt that came with the answer beside it."""
    key = (ledger / "vkey").read_text().strip()
    proofs = list(prove(ledger, lambda leaf: leaf["type"] == "backend.intent"))
    file = tmp_path / "receipts.json"
    file.write_text(json.dumps({"proofs": [{"proof": proof.text()} for proof in proofs]}))
    receipt = Receipt(proofs[0].index, leaf_hash(proofs[0].leaf), proofs[0].note)
    assert main(["verify", str(file), "--key", key, "--receipt", receipt.header()]) == 0
    header = tmp_path / "header"
    header.write_text(f"x-sekisho-receipt: {receipt.header()}\n")
    assert main(["verify", str(file), "--key", key, "--receipt", str(header)]) == 0
    other = Receipt(receipt.index, leaf_hash(b"other"), receipt.note)
    assert main(["verify", str(file), "--key", key, "--receipt", other.header()]) == 1
    elsewhere = Receipt(0, receipt.leaf, receipt.note)
    assert main(["verify", str(file), "--key", key, "--receipt", elsewhere.header()]) == 2
    assert main(["verify", str(ledger), "--key", key, "--receipt", receipt.header()]) == 0
    assert main(["verify", str(ledger), "--key", key, "--receipt", other.header()]) == 1
    capsys.readouterr()


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '{"proofs": []}', '{"proofs": [{"proof": 1}]}', "\x00", "[" * 100_000],
)
def test_files_that_are_none_of_ours(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """No verdict, and what is expected."""
    key = (ledger / "vkey").read_text().strip()
    file = tmp_path / "something"
    file.write_text(content)
    assert main(["verify", str(file), "--key", key]) == 2
    said = capsys.readouterr().out
    assert said.startswith("CANNOT TELL: nothing can be said about this file")
    assert "proof" in said


def test_a_proof_of_bytes_that_are_no_event(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Well proved, but not what a ledger of ours can hold: not called sound."""
    signer = Signer(ORIGIN, bytes(32))
    note = signer.sign(Checkpoint(ORIGIN, 1, leaf_hash(b"{}")))
    file = tmp_path / "odd.tlog-proof"
    file.write_text(Proof(b"{}", 0, [], note).text())
    assert main(["verify", str(file), "--key", signer.key.line()]) == 1
    assert "has not the fields of an event" in capsys.readouterr().out
    assert main(["verify", str(file), "--key", signer.key.line(), "--pinned", str(file)]) == 2


def test_a_reader_that_has_enough_gets_no_traceback(ledger: Path) -> None:
    """`show … | head -1`"""
    command = [sys.executable, "-m", "sekisho_audit.cli", "show", str(ledger), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
