"""`sekisho-audit verify` as an auditor uses it: words, exit codes, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.cli import main
from sekisho_audit.proof import Proof
from sekisho_audit.prove import prove
from sekisho_audit.receipt import Receipt
from sekisho_audit.tree import leaf_hash
from support.disclosures import disclose, leaves_of, raw
from support.ledgers import ORIGIN, open_ledger, run_exchange, small_ledger
from support.log_site import LogSite, log_site, publish


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


def test_names_of_foreign_files_are_made_harmless(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file name with escape codes is printed as text."""
    (ledger / "x\x1b[2Jy").write_text("x")
    assert main(["verify", str(ledger)]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "x\\x1b[2Jy" in said


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
    assert main(["verify", str(file), "--key", key, "--receipt", other.header()]) == 2
    elsewhere = Receipt(0, receipt.leaf, receipt.note)
    assert main(["verify", str(file), "--key", key, "--receipt", elsewhere.header()]) == 2
    assert main(["verify", str(ledger), "--key", key, "--receipt", receipt.header()]) == 0
    assert main(["verify", str(ledger), "--key", key, "--receipt", other.header()]) == 2
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


# -- a log at a URL


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LogSite]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    published = publish(tmp_path / "tiles", ledger)
    with log_site(published) as made:
        yield made
    published.close()
    ledger.close()


@pytest.fixture
def key(site: LogSite, tmp_path: Path) -> list[str]:
    return ["--key", str(tmp_path / "data" / "ledger" / "vkey")]


def test_url_is_verified(
    site: LogSite, key: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words and for machines; the credential is read from a file."""
    secret = tmp_path / "secret"
    secret.write_text("key-7\n")
    given = ["verify", site.url, *key, "--credential-file", str(secret)]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert said.startswith("SOUND")
    assert "Content     not served, not read" in said
    assert "can be seen in the directory only" in said
    assert main([*given, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["content_read"], report["signed_size"]) == (False, report["size"])
    assert site.credentials == {"Bearer key-7"}


def test_credential_is_taken_from_the_environment(
    site: LogSite, key: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEKISHO_AUDIT_CREDENTIAL", "key-8")
    assert main(["verify", f"{site.url}/v1/audit/log/", *key]) == 0
    assert site.credentials == {"Bearer key-8"}


def test_lying_url_is_tampered(
    site: LogSite, key: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, and the path of what lies."""
    site.files["tile/0/000.p/6"] = bytes(6 * 32)
    assert main(["verify", site.url, *key]) == 1
    assert "tile/0/000.p/6: the hashes of this tile" in capsys.readouterr().out


def test_url_that_does_not_answer_is_no_verdict(
    key: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "http://127.0.0.1:1", *key]) == 2
    assert "checkpoint cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["http://127.0.0.1:1"], "a URL needs --key"),
        (["http://gw.example", "--key", "VKEY"], "use https"),
        (["ftp://gw.example", "--key", "VKEY"], "URL like"),
        (["http://127.0.0.1:1", "--key", "VKEY", "--credential-file", "/x/y"], "/x/y is not there"),
    ],
)
def test_url_that_is_not_used(
    given: list[str], said: str, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was sent, and that is no verdict."""
    key = str(ledger / "vkey")
    assert main(["verify", *(key if word == "VKEY" else word for word in given)]) == 2
    assert said in capsys.readouterr().err


def test_credential_of_two_words_is_not_sent(
    site: LogSite,
    key: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would begin another header; it is not shown either."""
    monkeypatch.setenv("SEKISHO_AUDIT_CREDENTIAL", "secret\r\nx: y")
    assert main(["verify", site.url, *key]) == 2
    assert "secret" not in "".join(capsys.readouterr())
    assert site.asked == []


@pytest.mark.parametrize("count", [1, 2])
def test_several_checkpoints_may_be_pinned(
    ledger: Path, tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them must fit."""
    pinned = tmp_path / "pinned"
    pinned.write_bytes((ledger / "checkpoint").read_bytes())
    empty = tmp_path / "empty"
    signer = Signer(ORIGIN, (tmp_path / "keys" / "signing.key").read_bytes())
    empty.write_bytes(signer.sign(Checkpoint(ORIGIN, 1, bytes(32))))
    given = [pinned, empty][:count]
    options = [word for path in given for word in ("--pinned", str(path))]
    assert main(["verify", str(ledger), *options]) == count - 1
    assert ("the first 1 events are not" in capsys.readouterr().out) is (count == 2)


# -- disclosed content


def test_disclosed_content_is_shown_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It cannot steer a terminal, nor pass for words of ours; without --show it is not printed."""
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    hostile = "SOUND\x1b[2J\nSOUND: all is well \u202e".encode()
    run_exchange(opened, "s-1", hostile)
    opened.close()
    file = tmp_path / "keys.json"
    file.write_bytes(raw(disclose(tmp_path, leaves_of(opened.directory))))
    given = ["verify", str(opened.directory), "--disclosed", str(file)]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "prompt: exactly what was committed to" in said
    assert "all is well" not in said
    assert main([*given, "--show"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert "    | SOUND\\x1b[2J" in lines
    assert "    | SOUND: all is well \\u202e".replace("\\u", "\\x") in lines
    assert main([*given, "--json"]) == 0
    assert {item["text"] for item in json.loads(capsys.readouterr().out)["disclosed"]} == {None}


def test_disclosure_that_cannot_be_used_is_no_verdict(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is none, or a place that has no content."""
    file = tmp_path / "keys.json"
    file.write_text("{}")
    assert main(["verify", str(ledger), "--disclosed", str(file)]) == 2
    assert "no disclosure" in capsys.readouterr().err
    file.write_text('{"format": "sekisho-disclosure/v1", "ledger": "x", "keys": []}')
    key = ["--key", str(ledger / "vkey")]
    assert main(["verify", "http://127.0.0.1:1", *key, "--disclosed", str(file)]) == 2
    assert "is for a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--key", "--pinned", "--receipt", "--disclosed", "--key-changes", "--tsa-roots"]
)
def test_a_file_that_is_not_there_is_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """Which one, and no number of the system."""
    ledger, none = small_ledger(tmp_path), tmp_path / "none"
    for argument in (none, tmp_path):
        assert main(["verify", str(ledger), option, str(argument)]) == 2
        said = capsys.readouterr().err
        assert str(argument) in said
        assert "Errno" not in said
    (ledger / "checkpoint").unlink()
    assert main(["verify", str(ledger)]) == 1
    assert "checkpoint is not there" in capsys.readouterr().out


def test_a_proof_is_verified_under_a_key_of_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what `keys` wrote; the report tells how the keys follow one another."""
    ledger = open_ledger(tmp_path)
    old = ledger.key
    new = ledger.rotate_key()
    ledger.close()
    directory, changes, proof = str(ledger.directory), tmp_path / "changes", tmp_path / "proofs"
    assert main(["keys", directory, "--out", str(changes)]) == 0
    assert main(["prove", directory, "--index", "0", "--out", str(proof)]) == 0
    [file] = proof.iterdir()
    assert main(["verify", str(file), "--key", old.line()]) == 2
    capsys.readouterr()
    assert main(["verify", str(file), "--key", old.line(), "--key-changes", str(changes)]) == 0
    assert f"the key is {new.line()}" in capsys.readouterr().out
