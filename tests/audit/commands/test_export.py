"""`sekisho-audit export` by a real auditd: it is what search says, and proves itself."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyarrow import parquet

from sekisho_audit.canon import decode
from sekisho_audit.cli import main
from sekisho_audit.exports.bundle import verifier_source
from sekisho_audit.exports.inert import visible
from sekisho_audit.exports.tables import read_json_line
from sekisho_audit.officer_client import SECRET_VARIABLE
from sekisho_audit.verify import verify
from support.bundles import bodies, packed, parts
from support.ledgers import CANARY, Auditd, open_ledger, run_exchange, run_held_exchange
from support.officers import OFFICER, appoint, socket_of
from support.report_page import read_page
from support.report_truth import Truth

HOSTILE = b'<script>alert(1)</script>\n=cmd|x\x1b[31m "' + "身份证\u202e".encode()


@pytest.fixture
async def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1", HOSTILE)
    run_exchange(ledger, "s-1")
    run_held_exchange(ledger, "s-1")
    ledger.close()
    (tmp_path / "kept").write_bytes((ledger.directory / "checkpoint").read_bytes())
    auditd = Auditd(tmp_path)
    await auditd.start()
    monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path))
    yield [
        *("export", str(tmp_path / "data"), "--socket", str(socket_of(auditd))),
        *("--officer", OFFICER, "--purpose", "complaint <b>42</b>"),
    ]
    await auditd.end()


async def export(words: list[str], out: Path, *more: str, code: int = 0) -> Path:
    assert await asyncio.to_thread(main, [*words, "--out", str(out), *more]) == code
    return out


def leaves(home: Path) -> list[Mapping[str, Any]]:
    return [decode(one.body) for one in bodies(home / "data" / "ledger")]


def recorded(home: Path) -> list[Mapping[str, Any]]:
    return [leaf for leaf in leaves(home) if leaf["type"] == "audit.export"]


def held(home: Path) -> list[int]:
    """Read from the leaves: all events of exchanges that were held."""
    every = leaves(home)
    found = {leaf["exchange"] for leaf in every if leaf["data"].get("effect") == "hold"}
    return [leaf["n"] for leaf in every if leaf["exchange"] in found]


async def test_each_format_holds_what_the_leaves_say(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted by reading every leaf; each export is an event that says how much."""
    ask = ("--query", "effect:hold", "--format")
    wanted = held(tmp_path)
    table = await export(words, tmp_path / "a.csv", *ask, "csv", "--bom")
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8-sig"), newline="")))
    assert [int(row["index"]) for row in rows] == wanted
    lines = await export(words, tmp_path / "a.jsonl", *ask, "jsonl", "--ticket", "T-1")
    read = [read_json_line(line)[0].index for line in lines.read_bytes().splitlines()]
    assert read == wanted
    columns = await export(words, tmp_path / "a.parquet", *ask, "parquet")
    assert parquet.read_table(columns)["index"].to_pylist() == wanted
    said = capsys.readouterr().err
    assert f"{len(wanted)} events of 1 exchanges" in said
    acts = recorded(tmp_path)
    assert [leaf["data"]["format"] for leaf in acts] == ["csv", "jsonl", "parquet"]
    assert {leaf["data"]["events"] for leaf in acts} == {len(wanted)}
    assert {leaf["data"]["found"] for leaf in acts} == {1}
    assert [entry["name"] for entry in acts[1]["pl"]] == ["query", "purpose", "ticket"]
    assert b"complaint" not in b"".join(one.body for one in bodies(tmp_path / "data" / "ledger"))
    assert verify(tmp_path / "data").verdict == 0


async def test_everything_can_be_exported(words: list[str], tmp_path: Path) -> None:
    """Also events that belong to no exchange, and the exports before this one."""
    await export(words, tmp_path / "a.jsonl", "--format", "jsonl")
    out = await export(words, tmp_path / "b.jsonl", "--format", "jsonl")
    read = [read_json_line(line)[0] for line in out.read_bytes().splitlines()]
    [_, act] = recorded(tmp_path)
    size = act["data"]["size"]
    assert read == [one for one in bodies(tmp_path / "data" / "ledger") if one.index < size]
    assert "audit.export" in out.read_text()


async def test_reports_say_what_the_events_of_their_bundle_say(
    words: list[str], tmp_path: Path
) -> None:
    """Every event, and every disclosed text, in each language."""
    out = tmp_path / "case.evidence.zip"
    asked = ("--ticket", "T-1", "--disclose", "--time-zone", "America/New_York")
    await export(words, out, "--format", "bundle", *asked)
    files = parts(out)
    events = [decode(read_json_line(line)[0].body) for line in files["events.jsonl"].splitlines()]
    texts = json.loads(files["disclosed.json"])
    assert len(events) > 20
    assert len(texts) > 5
    for language in ("en", "zh", "ja"):
        page = read_page(files[f"report.{language}.html"].decode())
        Truth(language, ZoneInfo("America/New_York")).compare(page, events)
        kept = [visible(files[one["file"]].decode(), lines=True) for one in texts]
        assert sorted(text for _, text in page.texts) == sorted(kept)


async def test_a_bundle_proves_itself_to_strangers(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By our verifier, and by the single file in an empty environment; disclosed texts and the
    checkpoint that was kept before are compared too.
    """
    out = tmp_path / "case.evidence.zip"
    more = ("--disclose", "--ticket", "T-1", "--pinned", str(tmp_path / "kept"))
    await export(words, out, "--format", "bundle", "--query", "type:request.received", *more)
    vkey = tmp_path / "data" / "ledger" / "vkey"
    key = ("--key", str(vkey), "--pinned", str(tmp_path / "kept"))
    capsys.readouterr()
    assert main(["verify", str(out), *key]) == 0, capsys.readouterr().out
    stored = [entry for leaf in leaves(tmp_path) for entry in leaf["pl"] if "ct" in entry]
    texts = len([name for name in parts(out) if name.startswith("disclosed/")])
    assert f"Disclosed   {texts} texts" in capsys.readouterr().out
    assert texts > 5
    assert len(stored) >= texts
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "verify.py").write_bytes(verifier_source())
    done = subprocess.run(  # noqa: ASYNC221 - the auditd is another process
        [sys.executable, "-I", "-S", "verify.py", str(out), *key],
        cwd=alone, env={}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    files = parts(out)
    manifest = json.loads(files["manifest.json"])
    [act] = recorded(tmp_path)
    assert manifest["export"]["index"] == act["n"]
    assert manifest["asked_by"] == OFFICER
    assert (manifest["query"], manifest["ticket"]) == ("type:request.received", "T-1")
    for language in ("en", "zh", "ja"):
        page = files[f"report.{language}.html"].decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script" not in page
        assert "complaint &lt;b&gt;42" in page
        assert "身份证⟨U+202E⟩" in page
    said = {body for name, body in files.items() if name.startswith("disclosed/")}
    assert {HOSTILE, CANARY} <= said
    assert len([leaf for leaf in leaves(tmp_path) if leaf["type"] == "audit.disclosed"]) == 1


async def test_a_disclosed_text_cannot_be_another(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "case.evidence.zip"
    await export(words, out, "--format", "bundle", "--disclose", "--ticket", "T-1")
    files = parts(out)
    name = next(name for name in files if name.startswith("disclosed/"))
    changed = packed(tmp_path / "c.zip", {**files, name: files[name] + b"!"})
    key = str(tmp_path / "data" / "ledger" / "vkey")
    assert main(["verify", str(changed), "--key", key]) == 1
    assert "TAMPERED: this bundle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--format", "csv", "--query", "effect:perhaps"], "effect is never"),
        (["--format", "csv", "--query", "\udcff"], "not UTF-8"),
        (["--format", "csv", "--disclose"], "for --format bundle"),
        (["--format", "bundle", "--disclose"], "--ticket"),
        (["--format", "bundle", "--time-zone", "Mars/Base"], "time zone"),
        (["--format", "bundle", "--pinned", "missing"], "missing"),
        (["--format", "bundle", "--pinned", __file__], "test_export.py: "),
        (["--format", "csv", "--key", "x+y+z"], "base64"),
        (["--format", "csv", "--officer", "nobody@ledger.example"], "no officer"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_wrong_leaves_no_file_and_no_record(
    more: list[str],
    what: str,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = await export(words, tmp_path / "a.out", *more, code=2)
    assert not out.exists()
    assert what in capsys.readouterr().err
    assert not recorded(tmp_path)
    assert not list(tmp_path.glob(".a.out*"))


async def test_a_file_that_is_there_is_not_exported_over(words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("mine")
    await export(words, out, "--format", "csv", code=2)
    assert out.read_text() == "mine"
    assert not recorded(tmp_path)
    await export(words, out, "--format", "csv", "--force")
    assert out.read_text().startswith('"index"')


async def test_another_key_than_the_one_kept_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever replaced ledger and keys is found out by who kept the key."""
    other = open_ledger(tmp_path / "other")
    other.close()
    key = (other.directory / "vkey").read_text().strip()
    out = await export(words, tmp_path / "a.csv", "--format", "csv", "--key", key, code=2)
    assert "never handed over to" in capsys.readouterr().err
    assert not out.exists()


def run_alone(folder: Path, *arguments: str) -> int:
    """Exit code of the single file, with nothing of ours within reach."""
    call = [sys.executable, "-I", "-S", "verify.py", *arguments]
    done = subprocess.run(call, cwd=folder, env={}, capture_output=True, timeout=60, check=False)
    return done.returncode


async def test_a_key_kept_from_before_a_change_leads_to_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is changed while auditd is stopped; who has the old one exports and verifies, alone
    too, and so does who has the new one with a bundle from before.
    """
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    ledger.close()
    data, alone, bundles = str(tmp_path / "data"), tmp_path / "alone", []
    alone.mkdir()
    (alone / "verify.py").write_bytes(verifier_source())
    for name in ("before", "after"):
        auditd = Auditd(tmp_path)
        await auditd.start()
        if name == "before":
            monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path))
            (tmp_path / "kept").write_bytes((ledger.directory / "checkpoint").read_bytes())
        words = ["export", data, "--socket", str(socket_of(auditd)), "--officer", OFFICER]
        words += ["--purpose", "p", "--format", "bundle", "--key", ledger.key.line()]
        bundles.append(alone / f"{name}.evidence.zip")
        await export(words, bundles[-1], "--pinned", str(tmp_path / "kept"))
        await auditd.end()
        if name == "before":
            assert main(["rotate-key", data, "--keys", str(tmp_path / "keys")]) == 0
    changes = alone / "changes"
    assert main(["keys", data, "--out", str(changes)]) == 0
    new = (ledger.directory / "vkey").read_text().strip()
    for bundle, key, more, code in (
        (bundles[0], ledger.key.line(), (), 0),
        (bundles[1], ledger.key.line(), (), 0),
        (bundles[1], new, (), 0),
        (bundles[0], new, (), 2),
        (bundles[0], new, ("--key-changes", str(changes)), 0),
    ):
        assert main(["verify", str(bundle), "--key", key, *more]) == code
        assert await asyncio.to_thread(run_alone, alone, bundle.name, "--key", key, *more) == code
    assert main(["verify", data, "--key", new, "--key-changes", str(changes)]) == 2
