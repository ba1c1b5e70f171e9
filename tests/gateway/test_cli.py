from __future__ import annotations

import sys
import types

import pytest

from sekisho import __version__, cli
from sekisho.config import ConfigError
from sekisho.errors import NotFound


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A command `probe` whose `run` the test sets."""
    module = types.ModuleType("sekisho.cli.probe")
    module.configure = lambda parser: parser.add_argument("--x")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sekisho.cli.probe", module)
    monkeypatch.setitem(cli.COMMANDS, "probe", ("probe", "a probe"))
    return module


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for help it succeeds, given nothing it is wrong usage; both list what there is."""
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert cli.main([]) == cli.EXIT_USAGE
    assert all(f"  {name} " in text for name in cli.COMMANDS)


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Reports of faults begin with it."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sekisho {__version__}\n"


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer is on standard error and names what there is."""
    assert cli.main(["bogus"]) == cli.EXIT_USAGE
    assert "no command 'bogus'" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(cli.COMMANDS)))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command's module loads and has its options."""
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    assert f"sekisho {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (NotFound("There is no key 'x'."), cli.EXIT_FAILED, "sekisho: There is no key 'x'.\n"),
        (
            ConfigError("a.toml", ["x: no", "y: no"]),
            cli.EXIT_USAGE,
            "a.toml: 2 faults\n  - x: no\n  - y: no\n",
        ),
        (KeyboardInterrupt(), cli.EXIT_INTERRUPTED, ""),
    ],
)
def test_a_failure_is_a_sentence_and_a_status(
    command: types.ModuleType,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    said: str,
) -> None:
    """Nobody who uses a command reads a traceback for an error we know."""

    def run(options: object) -> int:
        raise error

    command.run = run  # type: ignore[attr-defined]
    assert cli.main(["probe"]) == status
    assert capsys.readouterr().err == said


def test_an_unknown_fault_is_not_hidden(command: types.ModuleType) -> None:
    """What we did not foresee keeps its traceback."""

    def run(options: object) -> int:
        raise LookupError

    command.run = run  # type: ignore[attr-defined]
    with pytest.raises(LookupError):
        cli.main(["probe"])
