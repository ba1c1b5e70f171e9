"""What the doctor says of rules and of an OPA server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters import diagnosis_policy
from sekisho.adapters.diagnosis_policy import in_force, rules
from sekisho.adapters.finding import Finding
from sekisho.config import PolicySettings
from support.installation import free_port
from support.opa_data_api import DataAPI, data_api, decides, says
from support.revisions import ACTIVATOR, AUTHOR, Rules, desk_in, replay, settings_in
from support.rules import SHIPPED, bundle
from support.shipped_once import read_once


def found(url: str, environ: dict[str, str] | None = None, **more: Any) -> Finding:
    """The finding about the server, the rules being sound."""
    policy = PolicySettings(engine="server", url=url, deadline_ms=5000, **more)
    first, second = rules(policy, environ or {})
    assert ("policy", True) == (first.part, first.ok)
    assert "opa server" == second.part
    assert second.ok or "opa-server.md" in second.mend
    return second


@pytest.fixture(autouse=True)
def _checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped rules are sound: tests/gateway/adapters/test_policy_check.py says so."""
    check = diagnosis_policy.check_bundle
    monkeypatch.setattr(
        diagnosis_policy, "check_bundle", lambda path: [] if path == SHIPPED else check(path)
    )
    read_once(monkeypatch)


@pytest.fixture(scope="module")
def api() -> Any:
    with data_api(PolicySettings().bundle) as server:
        yield server


def test_the_embedded_engine_has_no_server() -> None:
    """Then there is one finding, about the rules."""
    (finding,) = rules(PolicySettings(), {})
    assert finding.ok


def test_a_server_that_decides_by_our_rules(api: DataAPI) -> None:
    """Its place and revision are told."""
    finding = found(api.url)
    assert finding.ok
    assert api.revisions["sekisho"] in finding.said


def test_a_server_that_is_away() -> None:
    """What to start or mend."""
    finding = found(f"http://127.0.0.1:{free_port()}")
    assert not finding.ok
    assert "cannot be reached: start it" in finding.said


def test_a_server_without_rules(api: DataAPI) -> None:
    """It answers, and names no bundle."""
    api.fail(says(200, {"provenance": {"version": "1"}}))
    try:
        assert "has no rules yet" in found(api.url).said
    finally:
        api.fail(None)


def test_a_server_with_other_rules(api: DataAPI, tmp_path: Path) -> None:
    """Ours is a draft on this disk, the server has the shipped one."""
    other = bundle(tmp_path)
    (other / "data.yaml").write_text((other / "data.yaml").read_text("utf-8") + "\n# new\n")
    finding = found(api.url, bundle=other)
    assert "another revision than sha256:" in finding.said


def test_something_else_on_the_port(api: DataAPI) -> None:
    """A web server says welcome; one that allows everything is no policy."""
    api.fail(says(200, b"<html>welcome</html>", "text/html"))
    assert "does [policy] url name an OPA server?" in found(api.url).said
    good = {"schema": "sekisho.decision/v1", "effect": "allow", "reasons": [], "obligations": {}}
    api.fail(decides(good))
    assert "allowed what must be denied" in found(api.url).said
    api.fail(None)


def test_a_token_that_is_not_there_or_wrong(api: DataAPI) -> None:
    """The variable is named; its value never."""
    assert "OPA_TOKEN, which is not set" in found(api.url, token_env="OPA_TOKEN").said
    api.token = "t-1"
    try:
        wrong = found(api.url, {"OPA_TOKEN": "t-2"}, token_env="OPA_TOKEN")
        assert "token_env" in wrong.said
        assert "t-2" not in wrong.said
        assert found(api.url, {"OPA_TOKEN": "t-1"}, token_env="OPA_TOKEN").ok
    finally:
        api.token = ""


def test_broken_rules_are_told_before_the_server(tmp_path: Path) -> None:
    """Nothing is asked while the rules on disk are wrong."""
    broken = bundle(tmp_path, packs__team__a="package packs.team.a\n\nx := nosuch(1)\n")
    policy = PolicySettings(engine="server", url="http://127.0.0.1:1", bundle=broken)
    findings = list(rules(policy, {}))
    assert findings
    assert {("policy", False)} == {(finding.part, finding.ok) for finding in findings}


def test_a_revision_in_force_is_what_is_looked_at(tmp_path: Path) -> None:
    """Not the directory of the settings, which nobody reads any more; an edit in it is told."""
    kept = Rules(tmp_path / "bundles")
    settings = settings_in(tmp_path, kept.write())
    (before,) = in_force(settings, {})
    assert before.said == str(settings.policy.bundle)

    desk = desk_in(settings)
    row = desk.draft(AUTHOR, kept.write(lib__more="package lib.more\n\nx := 1\n"))
    replay(desk, AUTHOR, row.revision)
    desk.activate(ACTIVATOR, row.revision)
    (after,) = in_force(settings, {})
    assert (True, f"{row.revision} is in force, as it was put in") == (after.ok, after.said)

    (settings.policies_dir / row.contents[7:] / "lib" / "zz.rego").write_text("")
    (edited,) = in_force(settings, {})
    assert (False, True) == (edited.ok, "restore policies/" in edited.mend)
