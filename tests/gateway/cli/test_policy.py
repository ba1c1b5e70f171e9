from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sekisho.cli import main
from sekisho.config import PolicySettings

SHIPPED = PolicySettings().bundle


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A copy of the shipped rules with one line that does not parse."""
    bundle = tmp_path / "policies"
    shutil.copytree(SHIPPED, bundle)
    with (bundle / "sekisho" / "main.rego").open("a") as file:
        file.write("\nbroken if {\n")
    return bundle


def test_the_shipped_rules_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a directory the shipped pack is judged, and it passes."""
    assert main(["policy", "check"]) == 0
    assert "sound" in capsys.readouterr().out


def test_a_fault_is_told_with_its_place(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File and line for people, fields for programs, status 1 for scripts."""
    assert main(["policy", "check", str(broken)]) == 1
    out = capsys.readouterr().out
    assert "sekisho/main.rego:" in out
    assert out.rstrip().endswith(": 1 fault")
    assert main(["policy", "check", "--json", str(broken)]) == 1
    faults = json.loads(capsys.readouterr().out)
    assert faults[0]["file"] == "sekisho/main.rego"


def test_the_rules_own_tests_are_run(
    tmp_path: Path, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failing test is named with status 1; rules that do not load fail too."""
    bundle = tmp_path / "one"
    shutil.copytree(SHIPPED, bundle)
    (bundle / "added_test.rego").write_text(
        "package added_test\n\nimport rego.v1\n\ntest_never if {\n\t1 == 2\n}\n"
    )
    assert main(["policy", "test", str(bundle)]) == 1
    assert "added_test.rego: test_never failed" in capsys.readouterr().out
    assert main(["policy", "test", str(broken)]) == 1
    assert main(["policy", "test", "--json", str(bundle)]) == 1
    out = capsys.readouterr().out
    report = json.loads(out[out.index("{") :])
    assert [one["name"] for one in report["results"] if not one["passed"]] == ["test_never"]


def test_faults_are_counted_as_people_count(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two are told as two."""
    with (broken / "data.yaml").open("a") as file:
        file.write("grops: {}\n")
    assert main(["policy", "check", str(broken)]) == 1
    out = capsys.readouterr().out
    assert "did you mean groups?" in out
    assert out.rstrip().endswith(": 2 faults")


def test_coverage_can_be_demanded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Green tests that reach too little fail; what is demanded is told."""
    assert main(["policy", "test", "--coverage-min", "95"]) == 0
    bundle = tmp_path / "policies"
    shutil.copytree(SHIPPED, bundle)
    more = "".join(f"x{n} if input.never{n}\n\n" for n in range(100))
    (bundle / "lib" / "more.rego").write_text(f"package lib.more\n\n{more}")
    capsys.readouterr()
    assert main(["policy", "test", "--coverage-min", "95", str(bundle)]) == 1
    assert "less than 95 %" in capsys.readouterr().err
    assert main(["policy", "test", str(bundle)]) == 0


def test_nothing_of_a_bundle_drives_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rules of others are text of others."""
    bundle = tmp_path / "policies"
    shutil.copytree(SHIPPED, bundle)
    (bundle / "packs" / "odd_test.rego").write_text(
        'package packs.odd_test\n\ntest_odd if {\n\tprint("\\u001b[2J")\n\tfalse\n}\n'
    )
    assert main(["policy", "test", str(bundle)]) == 1
    out = capsys.readouterr().out
    assert "test_odd failed" in out
    assert "\x1b" not in out
