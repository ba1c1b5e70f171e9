from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho.adapters.key_desk import KeyDesk
from sekisho.cli import main
from sekisho.cli.replay import span_s
from sekisho.config import load
from sekisho_audit.places import newest_of
from support.ledgers import Auditd
from support.officers import OFFICER, appoint
from support.replays import append, auditd_in, decided
from support.revisions import ACTIVATOR, AUTHOR, DENY_ALL, policy_leaves
from support.rules import SHIPPED, bundle


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = await auditd_in(tmp_path)
    yield made
    await made.end()


def _line(leaf: dict[str, object], document: bytes) -> str:
    told = {"name": "input", "type": "policy.decision", **leaf, "content": document.decode()}
    return json.dumps(told)


async def test_from_draft_to_force(
    auditd: Auditd,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An officer reads the inputs, the report goes on record, and only then can a colleague put the
    revision in force; a decision is explained by the rules that fired.
    """
    monkeypatch.chdir(tmp_path)
    settings = load(config)
    made = await decided(settings.policy.bundle)
    await append(auditd, [event for event, _ in made])
    monkeypatch.setenv("SEKISHO_OFFICER_SECRET", appoint(tmp_path))

    async def run(*words: str, key: str = "") -> tuple[int, str]:
        monkeypatch.setenv("SEKISHO_KEY", key)
        status = await asyncio.to_thread(main, ["policy", *words, "--config", str(config)])
        said = capsys.readouterr()
        return status, said.out + said.err

    desk = KeyDesk(settings)
    author, activator = await asyncio.to_thread(
        lambda: [
            desk.create(who.id, roles=[f"policy_{role}"])
            for who, role in ((AUTHOR, "author"), (ACTIVATOR, "activator"))
        ]
    )
    closed = bundle(tmp_path / "new", packs__team__closed=DENY_ALL)
    status, said = await run("draft", str(closed), "--json", key=author)
    revision = json.loads(said)["revision"]
    officer = ("--officer", OFFICER, "--purpose", "rules", "--ticket", "T-1")
    status, said = await run("diff", "--against", revision)
    assert (status, "--officer, --purpose, --ticket" in said) == (1, True)

    status, said = await run("diff", "--against", revision, "--record", *officer, key=author)
    assert status == 0, said
    assert f"{len(made)} decisions" in said
    assert "team.closed" in said
    status, said = await run("activate", revision, key=activator)
    assert status == 0, said
    status, said = await run("diff", "--against", revision, "--exit-code", *officer)
    assert (status, "newly denied 0" in said) == (0, True)
    status, said = await run("diff", "--against", str(SHIPPED), "--exit-code", "--json", *officer)
    assert (status, json.loads(said)["changed"]["freed"] > 0) == (1, True)

    status, said = await run("explain", str(made[1][0].exchange), *officer)
    assert status == 0, said
    assert "because label_denied (default.content)" in said
    assert "packs/default/content.rego:" in said
    assert (await run("explain", "0192e4a0-0000-7000-8000-00000000ffff", *officer))[0] == 1
    kinds = [leaf["type"] for leaf in policy_leaves(settings)]
    assert kinds[len(made) :] == ["policy.drafted", "policy.replayed", "policy.activated"]


async def test_opened_inputs_are_saved_for_later(
    auditd: Auditd,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Inputs and nothing else, for the owner's eyes; nothing is opened that cannot be kept."""
    monkeypatch.chdir(tmp_path)
    settings = load(config)
    made = await decided(settings.policy.bundle)
    await append(auditd, [event for event, _ in made])
    monkeypatch.setenv("SEKISHO_OFFICER_SECRET", appoint(tmp_path))
    saved = tmp_path / "saved.jsonl"
    words = ["policy", "diff", "--against", str(SHIPPED), "--officer", OFFICER, "--purpose", "ci"]
    words += ["--ticket", "T-1", "--save", str(saved), "--config", str(config)]

    assert await asyncio.to_thread(main, words) == 0

    assert saved.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in saved.read_bytes().splitlines()]
    assert {line["name"] for line in lines} == {"input"}
    assert [line["content"].encode() for line in lines] == [seen for _, seen in made]
    offline = ["policy", "diff", "--base", str(SHIPPED), "--against", str(SHIPPED)]
    assert await asyncio.to_thread(main, [*offline, "--inputs", str(saved)]) == 0
    assert f"{len(made)} decisions from a file" in capsys.readouterr().out
    readings = list(newest_of(settings.ledger_dir, b"audit.disclosed"))
    assert await asyncio.to_thread(main, words) == 1
    assert "cannot be written: File exists" in capsys.readouterr().err
    assert list(newest_of(settings.ledger_dir, b"audit.disclosed")) == readings


def test_a_pull_request_needs_no_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two directories and a file of inputs; the exit status says whether anything changes."""
    monkeypatch.chdir(tmp_path)
    inputs = tmp_path / "inputs"
    made = asyncio.run(decided(SHIPPED))
    inputs.write_text(
        "\n".join(
            _line({"index": n, "exchange": event.exchange, "ts": 0}, seen)
            for n, (event, seen) in enumerate(made)
        )
    )
    closed = str(bundle(tmp_path, packs__team__closed=DENY_ALL))
    both = ["--base", str(SHIPPED), "--inputs", str(inputs), "--exit-code"]
    assert main(["policy", "diff", "--against", str(SHIPPED), *both]) == 0
    assert main(["policy", "diff", "--against", closed, *both, "--json"]) == 1
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["rules"]["team.closed"]["denied"] > 0
    assert main(["policy", "diff", "--against", closed, *both, "--record"]) != 0


def test_spans() -> None:
    """Hours, days, weeks; no other spelling, and no number that takes long to read."""
    assert (span_s("36h"), span_s("7d"), span_s("2w")) == (129_600, 604_800, 1_209_600)
    for text in ("", "7", "d", "-1d", "1.5d", "7m", "9" * 40 + "d"):
        with pytest.raises(argparse.ArgumentTypeError):
            span_s(text)
