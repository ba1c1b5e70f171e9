"""No command makes a file called `-` of what was meant for standard output."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.commands.named_file import named_file

_OFFICER = ["--officer", "officer-1"]
_ORDER = ["--purpose", "x", "--ticket", "T"]


@pytest.mark.parametrize(
    "words",
    [
        ["export", "data", *_OFFICER, "--purpose", "x", "--format", "csv", "--out", "-"],
        ["disclose", "data", *_OFFICER, *_ORDER, "--index", "1", "--keys", "-"],
        ["keys", "data", "--out", "-"],
        ["prove", "data", "--index", "1", "--out", "-"],
    ],
    ids=lambda words: words[0],
)
def test_a_dash_is_refused_with_what_to_do(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As wrong usage, before anything is asked or recorded."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "not written to standard output; name what to write" in said
    assert not list(tmp_path.iterdir())


def test_other_names_are_paths() -> None:
    """A file that is to be called so can be, said in full."""
    assert named_file("./-") == Path("-")
    assert named_file("a/-b") == Path("a/-b")
