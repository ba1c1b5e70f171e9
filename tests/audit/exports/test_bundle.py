"""Bundles: whole, the same twice, and made of nothing but what the export recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho_audit.checkpoint import BadNote
from sekisho_audit.exports import bundle_form as form
from sekisho_audit.exports.bundle import BadSelection, verifier_source
from sekisho_audit.exports.tables import read_json_line
from support.bundles import Made, exported, parts
from support.ledgers import CANARY, open_ledger, run_exchange, run_held_exchange


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    home = tmp_path_factory.mktemp("b")
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    run_held_exchange(ledger, "s-1")
    run_exchange(ledger, "s-1")
    made = exported(ledger, home, lambda leaf: leaf["exchange"] is not None)
    ledger.close()
    return made


def test_it_holds_what_the_manifest_says(made: Made, tmp_path: Path) -> None:
    held = parts(made.write(tmp_path / "a.zip"))
    manifest = json.loads(held[form.MANIFEST])
    assert manifest["files"].keys() == held.keys() - {form.MANIFEST, form.SIGNATURE}
    assert {"report.en.html", "report.zh.html", "report.ja.html"} < held.keys()
    assert held[form.VERIFIER] == verifier_source()
    events = [read_json_line(line)[0] for line in held[form.EVENTS].splitlines()]
    assert events == [one.event for one in made.events]
    assert manifest["selection"]["events"] == len(events)
    assert manifest["export"]["index"] == made.export.event.event.index
    assert manifest["purpose"] == "case <b>42</b>"
    assert CANARY not in b"".join(held.values())


def test_the_same_export_twice_is_the_same_file(made: Made, tmp_path: Path) -> None:
    one, two = made.write(tmp_path / "a.zip"), made.write(tmp_path / "b.zip")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("change", ["less", "more", "other", "none"])
def test_what_was_not_announced_is_not_written(made: Made, tmp_path: Path, change: str) -> None:
    """Whoever stands between auditd and the file cannot leave out or add."""
    events = {
        "less": made.events[1:],
        "more": [*made.events, made.export.event],
        "other": [*made.events[:-1], made.export.event],
        "none": [],
    }[change]
    with pytest.raises(BadSelection, match="announced"):
        replace(made, events=events).write(tmp_path / "a.zip")


def test_a_checkpoint_of_another_key_is_refused(made: Made, tmp_path: Path) -> None:
    export = replace(made.export, note=made.export.note.replace(b"\n", b"x\n", 1))
    with pytest.raises(BadNote):
        replace(made, export=export).write(tmp_path / "a.zip")
