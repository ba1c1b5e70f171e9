from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sekisho import demo
from sekisho.config import Settings, load
from sekisho.supervisor import prepare_directories

KEYS = {name: f"sk-sekisho-{name}" for name, *_ in demo.PEOPLE}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The demo's own configuration."""
    path = tmp_path / "sekisho.toml"
    text = demo._CONFIG.format(port=8123, model_port=8124, model="m", bundle='"policies"')
    path.write_text(text)
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    """As the demo loads them."""
    made = load(config, {})
    prepare_directories(made)
    return made


def test_the_demo_prints_url_and_keys_in_a_fixed_order(config: Path, settings: Settings) -> None:
    """Scripts and people read it line by line."""
    lines = demo.welcome(settings, config, KEYS).splitlines()

    said = [line for line in lines if "://127.0.0.1:8123" in line or "sk-sekisho-" in line][:7]
    names = ["gateway URL", *(f"{name} key" for name in KEYS)]
    assert names == [line[:14].strip() for line in said]
    assert ["http://127.0.0.1:8123", *KEYS.values()] == [line[14:] for line in said]
    order = ["employee", "reviewer", "auditor", "author", "activator", "operator"]
    assert order == list(KEYS)


def test_what_is_to_be_pasted_comes_after_in_its_order(config: Path, settings: Settings) -> None:
    """Ask; be held; approve and verify. The reviewer's commands have the reviewer's key."""
    text = demo.welcome(settings, config, KEYS)
    places = [text.index(f"\n{number}. ") for number in (1, 2, 3)]

    assert sorted(places) == places
    third = text[places[2] :]
    assert KEYS["reviewer"] in third
    assert KEYS["employee"] not in third
    assert "sekisho-audit verify" in third


def test_nobody_holds_two_roles_that_must_be_two_people() -> None:
    """The demo shows the separation of duties it preaches."""
    principals = [principal for _, principal, _, _ in demo.PEOPLE]
    assert len(set(principals)) == len(principals)
    assert all(len(set(roles) - {"employee"}) <= 1 for *_, roles in demo.PEOPLE)


def test_keys_are_made_once_and_kept_for_their_owner(settings: Settings) -> None:
    """A second start prints the same keys."""
    first = demo._keys(settings)
    kept = settings.audit.keys_dir / "demo-keys.json"

    assert list(KEYS) == list(first)
    assert 0o600 == stat.S_IMODE(kept.stat().st_mode)
    assert first == demo._keys(settings)
