"""docs/howto/policy.md is true: every command in it works as written, in the order of the page."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from joserfc.jwk import OKPKey

from support.installation import ROOT, Installation
from support.loopback_backend import in_thread
from support.replays import decided
from support.revisions import DENY_ALL
from support.rules import SHIPPED, give_modes
from support.signed_bundles import KEYS, signed
from support.signed_repository import Repository

PAGE = ROOT / "docs" / "howto" / "policy.md"
_BLOCK = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_PROGRAMS = ("sekisho ", "sekisho-audit ", "cp ", "export ", "curl ")
_BY_ACTIVATOR = ("policy activate", "policy rollback", "policy shadow")
_FUNCTIONS = f"""
sekisho() {{ {sys.executable} -m sekisho.cli "$@"; }}
sekisho-audit() {{ {sys.executable} -m sekisho_audit.cli "$@"; }}
set -eu -o pipefail
"""


@dataclass
class Desk:
    """An installation, the keys of its people, and what a reader would have at hand."""

    house: Installation
    keys: dict[str, str]
    exchange: str
    secret: str = ""

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """As somebody types it into a shell, in the directory of the settings."""
        role = "activator" if any(verb in command for verb in _BY_ACTIVATOR) else "author"
        text = command.replace("EXCHANGE", self.exchange)
        text = text.replace("http://127.0.0.1:8080", self.house.url)
        if "4f1c9a" in text:
            text = text.replace("4f1c9a", self._drafted())
        return subprocess.run(
            ["bash", "-c", f"{_FUNCTIONS}\n{text}"],
            cwd=self.house.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={
                **os.environ,
                "HOME": str(self.house.folder),
                "NO_PROXY": "*",
                "SEKISHO_KEY": self.keys[role],
                "SEKISHO_OFFICER_SECRET": self.secret,
            },
        )

    def _drafted(self) -> str:
        """The first digits of what was drafted from `my-policies`."""
        listed = ("policy", "list", "--json", "--config", str(self.house.config))
        rows = json.loads(self.house.run(*listed, key=self.keys["author"]))
        found = next(row["revision"] for row in rows if row["source"] == "my-policies")
        return str(found).removeprefix("sha256:")[:6]


def commands() -> list[str]:
    """Those of the page, continued lines joined."""
    lines = "\n".join(match.group() for match in _BLOCK.finditer(PAGE.read_text("utf-8")))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [line.strip() for line in joined.splitlines() if line.strip().startswith(_PROGRAMS)]


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """What the page takes for granted: two people, a signed bundle and commit, one request."""
    folder = tmp_path_factory.mktemp("d")
    key = KEYS["EdDSA"]()
    repository = Repository(folder)
    repository.commit(repository.key("author-7", 'author-7 namespaces="git"'))
    repository.place.rename(folder / "rules")
    policy = {
        "bundle": "policies",
        "verification_key": str(folder / "signer.pem"),
        "verification_scope": "sekisho",
        "allowed_signers": str(repository.signers),
    }
    with in_thread() as backend:
        house = Installation(folder, {"*": backend.url}, settings={"policy": policy})
        house.write()
        _sign(folder, key)
        house.start()
        keys = {
            role: house.key(f"{role}-7", roles=roles)
            for role, roles in (
                ("author", "policy_author"),
                ("activator", "policy_activator"),
                ("employee", "employee"),
            )
        }
        answer = httpx.post(
            f"{house.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {keys['employee']}"},
            json={"model": "ok", "messages": [{"role": "user", "content": "hi"}]},
            timeout=20,
            trust_env=False,
        )
        (_, seen), *_ = asyncio.run(decided(SHIPPED))
        (folder / "input.json").write_bytes(seen)
        yield Desk(house, keys, answer.headers["x-sekisho-exchange"])
        house.stop()


def _sign(folder: Path, key: OKPKey) -> None:
    """The shipped rules with one more, as another house would sign them."""
    rules = folder / "theirs"
    shutil.copytree(SHIPPED, rules, ignore=shutil.ignore_patterns("schema", "*.md"))
    (rules / "packs/team").mkdir()
    (rules / "packs/team/closed.rego").write_text(DENY_ALL)
    give_modes(rules)
    files = {
        path.relative_to(rules).as_posix(): path.read_bytes()
        for path in rules.rglob("*")
        if path.is_file()
    }
    files["data.json"] = json.dumps(yaml.safe_load(files.pop("data.yaml"))).encode()
    (folder / "rules.tar.gz").write_bytes(signed(files, key, "EdDSA", scope="sekisho"))
    (folder / "signer.pem").write_bytes(key.as_pem(private=False))


@pytest.mark.long
def test_the_page_works_as_written(desk: Desk) -> None:
    """From the copy of the rules to the explanation of a refusal, by one reader after the other."""
    ran = commands()
    assert len(ran) > 15
    for command in ran:
        if "OFFICER_SECRET=" in command:
            done = desk.run(command + '\necho "$SEKISHO_OFFICER_SECRET"')
            desk.secret = done.stdout.strip()
        else:
            done = desk.run(command)
        told = {0, 1} if "--exit-code" in command else {0}  # 1: something changes
        assert done.returncode in told, f"{command}\n{done.stdout}\n{done.stderr}"
        if command.startswith("cp "):  # the reader writes a rule
            place = desk.house.folder / "my-policies" / "packs" / "team"
            place.mkdir()
            (place / "closed.rego").write_text(DENY_ALL.replace("closed", "shut"))
            (place / "closed.rego").rename(place / "shut.rego")
            give_modes(place.parents[1])
            data = place.parents[1] / "data.yaml"
            data.write_text(data.read_text().replace('team: "enforce"', 'team: "observe"'))
    assert desk.house.verify().returncode == 0
