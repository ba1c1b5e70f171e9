"""`sekisho policy check` and `draft` take a signed bundle for what it is, or refuse it in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.cli import main
from sekisho.cli.stock import desk_of
from sekisho.config import load
from support.policy_house import House
from support.revisions import ACTIVATOR, AUTHOR, GREEN, replay
from support.rules import SHIPPED
from support.signed_bundles import KEYS, signed
from support.signed_repository import Repository


class Signer:
    """Another house that signs the shipped rules."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._key = folder, KEYS["EdDSA"]()
        self.key = folder / "signer.pem"
        self.key.write_bytes(self._key.as_pem(private=False))

    def bundle(self, changes: dict[str, bytes] | None = None, **claims: Any) -> Path:
        """A signed file of the shipped rules with some changed."""
        shipped = read_bundle(SHIPPED)
        files = {module.path: module.source.encode() for module in shipped.modules}
        files |= {"data.json": json.dumps(shipped.data).encode(), "green_test.rego": GREEN.encode()}
        place = self.folder / "rules.tar.gz"
        place.write_bytes(signed({**files, **(changes or {})}, self._key, "EdDSA", **claims))
        return place


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path)


@pytest.fixture
def house(config: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(config, monkeypatch)


def test_check(signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    """As a directory is checked; without a key, or with another, nothing is read of it."""
    place, key = str(signer.bundle(scope="sekisho")), str(signer.key)

    assert main(["policy", "check", place, "--verification-key", key, "--scope", "sekisho"]) == 0
    assert "sound" in capsys.readouterr().out
    assert main(["policy", "check", place, "--verification-key", key]) == 1
    assert "wanted is a bundle without scope" in capsys.readouterr().err
    assert main(["policy", "check", place]) == 1
    assert "--verification-key" in capsys.readouterr().err


def test_faults_of_a_signed_bundle(signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    """A signature says who it is from, not that it is sound."""
    place = signer.bundle(
        {"packs/team/bad.rego": b"package packs.team.bad\n\nx := opa.runtime()\n"}
    )

    assert main(["policy", "check", str(place), "--verification-key", str(signer.key)]) == 1
    assert "packs/team/bad.rego:3:6: opa.runtime may not be used" in capsys.readouterr().out


def test_draft(house: House, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    """It is kept as any revision, named after the file; who puts it in is its author."""
    place, key = str(signer.bundle()), str(signer.key)
    assert house.run(AUTHOR.id, "draft", place) == 1
    assert "has to be signed" in capsys.readouterr().err

    assert house.run(AUTHOR.id, "draft", place, "--verification-key", key, "--json") == 0
    revision = json.loads(capsys.readouterr().out)["revision"]
    assert house.run(ACTIVATOR.id, "show", revision, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert ("rules.tar.gz", [AUTHOR.id]) == (shown["source"], shown["authors"])
    assert "data.yaml" in shown["files"]


def test_the_settings_win(
    house: House, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever puts rules in does not choose by whom they have to be signed."""
    (tmp_path / "other").mkdir()
    other = Signer(tmp_path / "other")
    with house.config.open("a") as file:
        file.write(f'verification_key = "{signer.key}"\nverification_scope = "sekisho"\n')

    assert house.run(AUTHOR.id, "draft", str(signer.bundle(scope="sekisho"))) == 0
    assert house.run(AUTHOR.id, "draft", str(signer.bundle())) == 1
    assert house.run(AUTHOR.id, "draft", str(other.bundle(scope="sekisho"))) == 1
    assert "not by the configured key" in capsys.readouterr().err
    foreign = ("draft", str(other.bundle()), "--verification-key", str(other.key))
    assert house.run(AUTHOR.id, *foreign) == 1
    assert "leave --verification-key" in capsys.readouterr().err


def test_the_signer_of_a_commit_is_an_author(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither who signed the rules nor who put them in may put them in force."""
    (tmp_path / "git").mkdir()
    repository = Repository(tmp_path / "git")
    commit = repository.commit(repository.key("one", ACTIVATOR.id))
    words = ("draft", "policies", "--commit", "HEAD", "--repo", str(repository.place), "--json")
    assert house.run(AUTHOR.id, *words) == 1
    assert "allowed_signers" in capsys.readouterr().err
    with house.config.open("a") as file:
        file.write(f'allowed_signers = "{repository.signers}"\n')

    assert house.run(AUTHOR.id, *words) == 0
    revision = json.loads(capsys.readouterr().out)["revision"]
    assert house.run(AUTHOR.id, "show", revision, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert sorted((ACTIVATOR.id, AUTHOR.id)) == sorted(shown["authors"])
    assert f"policies@{commit[:12]}" == shown["source"]
    replay(desk_of(load(house.config)), AUTHOR, revision)
    assert house.run(ACTIVATOR.id, "activate", revision) == 1
    assert "Nobody puts their own rules in force" in capsys.readouterr().err


def test_a_signer_nobody_knows(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name without a person, and a pattern of names, are nobody who could be an author."""
    (tmp_path / "git").mkdir()
    repository = Repository(tmp_path / "git")
    with house.config.open("a") as file:
        file.write(f'allowed_signers = "{repository.signers}"\n')
    names = {
        "stranger-9": "no person here",
        "*@example.com": "no person here",
        f"{AUTHOR.id},stranger-9": "several names",
    }
    for number, (name, said) in enumerate(names.items()):
        repository.commit(repository.key(f"key-{number}", name))
        words = ("draft", "policies", "--commit", "HEAD", "--repo", str(repository.place))
        assert house.run(AUTHOR.id, *words) == 1
        assert said in capsys.readouterr().err
    assert house.run(AUTHOR.id, "list") == 0
    assert "No revision" in capsys.readouterr().out
