"""A desk of policy with real store, registry and ledger, and persons around it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sekisho.adapters.ledger_desk import evidence
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_remote import RemotePolicyDesk
from sekisho.adapters.policy_store import PolicyStore
from sekisho.adapters.policy_trial import Trials
from sekisho.adapters.sql_registry import Registry
from sekisho.config import Settings
from sekisho.model.principal import Principal, Role
from sekisho.model.revisions import Report
from support.rules import SHIPPED, give_modes

DENY_ALL = """# METADATA
# title: Closed
package packs.team.closed

# METADATA
# title: Nothing goes
deny contains {"code": "closed", "msg": "We are closed."} if input.request.model != "none"
"""

GREEN = "package green_test\n\ntest_arithmetic if 1 + 1 == 2\n"
_TESTS = shutil.ignore_patterns("*_test.rego")


def person(name: str, *roles: Role) -> Principal:
    """Somebody with these roles."""
    return Principal(name, frozenset(roles), frozenset())


AUTHOR = person("author-1", Role.POLICY_AUTHOR, Role.POLICY_ACTIVATOR)
ACTIVATOR = person("activator-1", Role.POLICY_ACTIVATOR)


def settings_in(folder: Path, first: Path) -> Settings:
    """Settings of an installation in `folder` that begins with the rules in `first`."""
    return Settings.model_validate(
        {
            "data_dir": folder / "data",
            "audit": {"keys_dir": folder / "keys"},
            "policy": {"bundle": first},
            "backends": [{"id": "local", "base_url": "http://127.0.0.1:9/v1", "models": ["*"]}],
        }
    )


def desk_in(settings: Settings, appended: list[Any] | None = None) -> PolicyDesk:
    """The desk of an installation."""
    return PolicyDesk(
        PolicyStore(settings.policies_dir),
        lambda: Registry.open(settings.registry_path),
        lambda: evidence(settings),
        settings.policy.bundle,
    )


def remote_desk_in(settings: Settings, trials: Trials | None = None) -> RemotePolicyDesk:
    """The same desk as workers have it."""
    return RemotePolicyDesk(
        PolicyStore(settings.policies_dir),
        lambda: Registry.open(settings.registry_path),
        lambda: evidence(settings),
        settings.policy,
        trials,
    )


@dataclass
class Rules:
    """A folder in which bundles are written, each with one more rule."""

    folder: Path
    made: int = field(default=0)

    def write(self, **files: str) -> Path:
        """Another bundle: the shipped fold and data, one green test, and these files. Small, as a
        draft is checked each time; `packs__team__a` is a rule file.
        """
        self.made += 1
        place = self.folder / f"bundle-{self.made}"
        shutil.copytree(SHIPPED / "sekisho", place / "sekisho", ignore=_TESTS)
        shutil.copytree(SHIPPED / "lib", place / "lib", ignore=_TESTS)
        shutil.copy(SHIPPED / "data.yaml", place)
        for name, source in {"green_test": GREEN, **files}.items():
            path = place / (name.replace("__", "/") + ".rego")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, "utf-8")
        give_modes(place)
        return place


def empty_report(revision: str, against: str, contents: str) -> Report:
    """What a replay of no decisions finds."""
    summary = {
        "decisions": 0,
        "unread": 0,
        "since_us": 0,
        "changed": {"denied": 0, "held": 0, "freed": 0},
    }
    return Report(revision, against, contents, "", 0, summary)


def replay(desk: PolicyDesk, who: Principal, named: str) -> Report:
    """Put a report on record, as `policy diff --record` does."""
    row, _ = desk.bundle(named)
    made = empty_report(row.revision, desk.active().revision, row.contents)
    return desk.record_replay(who, row.revision, made)


def policy_leaves(settings: Settings) -> Sequence[dict[str, Any]]:
    """The events of the ledger that are about policy."""
    done = subprocess.run(
        [sys.executable, "-m", "sekisho_audit.cli", "show", str(settings.ledger_dir), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    leaves = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [leaf for leaf in leaves if leaf["type"].startswith("policy.")]
