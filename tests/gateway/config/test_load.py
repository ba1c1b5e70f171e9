from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho.config import ConfigError, Settings, load, parse

SIX_LINES = b"""
[[backends]]
id = "openai"
profile = "openai"
base_url = "https://api.openai.com/v1"
api_key_env = "OPENAI_API_KEY"
models = ["gpt-*"]
"""


def read(text: bytes = SIX_LINES, folder: Path = Path("/srv/sekisho"), **environ: str) -> Settings:
    return parse(text, "sekisho.toml", folder, environ)


def faults(text: bytes = SIX_LINES, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    return caught.value.faults


def test_six_lines_are_enough() -> None:
    """One backend table gives a whole installation with its defaults beside the file."""
    settings = read()
    assert settings.data_dir == Path("/srv/sekisho/data")
    assert settings.audit.keys_dir == Path("/srv/sekisho/keys")
    assert settings.ledger_dir == Path("/srv/sekisho/data/ledger")
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.backends[0].trust == "external"
    assert settings.redis_url == "unix:///srv/sekisho/data/run/valkey.sock"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Neither the working directory nor the caller decides where data lies."""
    file = tmp_path / "sekisho.toml"
    file.write_bytes(b'data_dir = "d"\n[policy]\nbundle = "rules"\n' + SIX_LINES)
    settings = load(file, {})
    assert settings.data_dir == tmp_path / "d"
    assert settings.policy.bundle == tmp_path / "rules"


def test_the_environment_wins_over_the_file() -> None:
    """SEKISHO_SECTION__NAME overrides any scalar, also where the file has no such table."""
    settings = read(
        b"[server]\nport = 9000\n" + SIX_LINES,
        SEKISHO_SERVER__PORT="9001",
        SEKISHO_LOG__LEVEL="debug",
        SEKISHO_DATA_DIR="elsewhere",
    )
    assert settings.server.port == 9001
    assert settings.log.level == "debug"
    assert settings.data_dir == Path("/srv/sekisho/elsewhere")


def test_a_list_in_the_environment_is_json() -> None:
    """Backends can be given whole in one variable."""
    table = [{"id": "local", "base_url": "http://127.0.0.1:8081/v1", "models": ["*"]}]
    settings = read(SEKISHO_BACKENDS=json.dumps(table))
    assert [backend.id for backend in settings.backends] == ["local"]
    assert faults(SEKISHO_BACKENDS="[{") == (
        "SEKISHO_BACKENDS: begins like a JSON list but is not JSON",
    )


def test_all_faults_are_told_at_once() -> None:
    """An administrator mends a file in one go: each fault has its place."""
    text = b"""
dta_dir = "x"
[server]
port = 0
hop_wait_s = 3
[audit]
append_deadline_s = nan
[[backends]]
id = "Bad Name"
base_url = "ftp://x"
models = ["a b"]
"""
    found = faults(text, SEKISHO_SERVER__PRT="1")
    places = [fault.split(":")[0] for fault in found]
    assert places == [
        "SEKISHO_SERVER__PRT",
        "server.port",
        "server.hop_wait_s",
        "audit.append_deadline_s",
        "backends[1].id",
        "backends[1].base_url",
        "backends[1].models[1]",
        "dta_dir",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[server]\nbody_byte_max = 1\n", "did you mean body_bytes_max?"),
        (b"[server]\nhop_wait_s = 1\n", "it belongs into [holds]"),
        (b"[serve]\nport = 1\n", "did you mean server?"),
    ],
)
def test_an_unknown_key_is_a_fault_with_a_hint(text: bytes, said: str) -> None:
    """A mistyped limit must not silently be the default."""
    (fault,) = faults(text + SIX_LINES)
    assert said in fault


def test_an_unknown_variable_is_a_fault_with_a_hint() -> None:
    """The same holds for the environment, and for one underscore instead of two."""
    assert "did you mean SEKISHO_SERVER__PORT?" in faults(SEKISHO_SERVER__PORTT="1")[0]
    assert "two underscores, SEKISHO_SERVER__PORT" in faults(SEKISHO_SERVER_PORT="1")[0]


def test_variables_of_other_uses_are_left_alone() -> None:
    """The CLI's SEKISHO_URL and SEKISHO_KEY are no settings."""
    assert read(SEKISHO_URL="http://127.0.0.1:1", SEKISHO_KEY="sk-sekisho-x").server.port == 8080


def test_a_table_where_a_scalar_stands_is_a_fault() -> None:
    """An override below a scalar does not crash the reader."""
    found = faults(b"server = 3\n" + SIX_LINES, SEKISHO_SERVER__PORT="1")
    assert found[0].startswith("server: ")


def test_no_backend_is_said_in_the_files_words() -> None:
    """The message names the table to add."""
    assert faults(b"")[0] == "backends: at least one [[backends]] table is needed"


@pytest.mark.parametrize("text", [b"= 3", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_not_toml_is_one_fault(text: bytes) -> None:
    """Broken files end in a ConfigError, never in a parser's own error."""
    (fault,) = faults(text)
    assert fault.startswith("is not TOML")


def test_a_missing_or_huge_file_is_said(tmp_path: Path) -> None:
    """Neither a wrong path nor a log file given by mistake ends in a traceback."""
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "absent.toml", {})
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="the right file"):
        load(huge, {})


def test_secrets_are_in_no_message_and_no_repr() -> None:
    """A password in a URL shows neither in a fault nor when settings are printed."""
    text = b'[redis]\nurl = "http://:canary-7@h"\n[database]\nurl = "x://canary-7"\n' + SIX_LINES
    assert "canary-7" not in "".join(faults(text))
    good = read(b'[redis]\nurl = "redis://:canary-7@127.0.0.1"\n' + SIX_LINES)
    assert "canary-7" not in repr(good) + str(good)
    assert good.redis_url == "redis://:canary-7@127.0.0.1"
