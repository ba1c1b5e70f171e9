from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sekisho.config.sections import Settings, is_loopback

BACKEND = {"id": "local", "base_url": "https://models.example/v1", "models": ["*"]}


def settings(**values: object) -> Settings:
    return Settings.model_validate({"backends": [BACKEND], **values})


def refused(said: str, **values: object) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**values)


@pytest.mark.parametrize(
    ("data", "keys"), [("d", "d"), ("d", "d/keys"), ("d/data", "d"), ("d", "x/../d/keys")]
)
def test_keys_and_data_never_lie_inside_one_another(tmp_path: Path, data: str, keys: str) -> None:
    """One backup must not hold both what is encrypted and what opens it."""
    refused("inside one another", data_dir=tmp_path / data, audit={"keys_dir": tmp_path / keys})


def test_a_symbolic_link_does_not_hide_keys_inside_data(tmp_path: Path) -> None:
    """The check follows links, since a backup may too."""
    (tmp_path / "data").mkdir()
    (tmp_path / "keys").symlink_to(tmp_path / "data")
    refused("inside one another", data_dir=tmp_path / "data", audit={"keys_dir": tmp_path / "keys"})


def test_a_sibling_with_the_same_beginning_is_not_inside() -> None:
    """`data` and `data-keys` are two directories."""
    assert settings(data_dir="/srv/data", audit={"keys_dir": "/srv/data-keys"}).data_dir


def test_settings_are_frozen() -> None:
    """Nobody changes a limit behind the back of what was checked at start."""
    one = settings()
    with pytest.raises(ValidationError):
        one.data_dir = Path("/x")


@pytest.mark.parametrize(
    ("url", "trust", "good"),
    [
        ("http://models.example/v1", "external", False),
        ("http://models.example/v1", "region", False),
        ("http://models.example/v1", "onprem", True),
        ("http://127.0.0.1:1/v1", "external", True),
        ("http://[::1]:1/v1", "external", True),
        ("http://127.0.0.1.evil.example/v1", "external", False),
        ("https://key@models.example/v1", "external", False),
        ("https://models.example/v1?key=1", "external", False),
        ("file:///etc/passwd", "onprem", False),
    ],
)
def test_prompts_cross_the_network_encrypted(url: str, trust: str, good: bool) -> None:
    """Plain http is for this machine or a place the site calls its own."""
    backend = {**BACKEND, "base_url": url, "trust": trust}
    if good:
        assert Settings.model_validate({"backends": [backend]})
    else:
        with pytest.raises(ValidationError):
            Settings.model_validate({"backends": [backend]})


def test_two_backends_with_one_id_are_refused() -> None:
    """Policy and ledger name a backend by its id."""
    refused("two .* have the id 'local'", backends=[BACKEND, BACKEND])


def test_limits_that_contradict_one_another_are_refused() -> None:
    """A total below one item, or a wait longer than all waits, cannot be meant."""
    refused("body_bytes_total_max", server={"body_bytes_max": 4096, "body_bytes_total_max": 2048})
    refused("hop_wait_s", holds={"hop_wait_s": 60, "wait_total_s": 30})
    refused("answer_bytes_max", holds={"answer_bytes_max": 2**22, "hold_bytes_total_max": 2**21})


def test_a_data_dir_too_long_for_a_socket_is_refused() -> None:
    """Linux cuts socket paths at 108 bytes; the fault is told at start."""
    refused("too long for the sockets", data_dir="/" + "d" * 90)


def test_addresses() -> None:
    """The public URL falls back to where the server listens; IPv6 gets its brackets."""
    assert settings(server={"host": "::1"}).public_url == "http://[::1]:8080"
    given = settings(server={"public_url": "https://gate.example/"})
    assert given.public_url == "https://gate.example"
    assert is_loopback("localhost")
    assert not is_loopback("localhost.evil.example")


def test_the_search_index_can_be_in_postgresql() -> None:
    """In the form of the driver or the short one; anything else is refused."""
    for scheme in ("postgresql+asyncpg", "postgresql"):
        assert settings(audit={"index_url": f"{scheme}://a:b@h/d"}).audit.index_url is not None
    refused("must begin with postgresql", audit={"index_url": "mysql://a:b@h/d"})


def test_the_registry_can_be_elsewhere_in_sqlite_only() -> None:
    """Other databases are refused in words instead of being half used."""
    url = "sqlite:////srv/registry.sqlite"
    assert settings(database={"url": url}).registry_path == Path("/srv/registry.sqlite")
    refused("SQLite only", database={"url": "postgresql+asyncpg://h/db"})
