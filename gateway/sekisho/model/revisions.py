"""The life of a policy revision, as values: who wrote it, what is known of it, what was in force.

A revision is named by the digest of its rules and data. Who put it in is an author for good;
somebody else activates it. What is asked before that is decided here and nowhere else, so that the
command and the control route cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sekisho.errors import Conflict, Forbidden
from sekisho.model.duties import may_activate
from sekisho.model.principal import Principal, Role, Scope

_REVISION = re.compile(r"sha256:[0-9a-f]{64}")
_BEGINNING = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


@dataclass(frozen=True, slots=True)
class Revision:
    """One bundle that was put in. `authors` are principals and the persons behind them."""

    revision: str
    contents: str
    source: str
    drafted_us: int
    authors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Activation:
    """`activator` put `revision` in force in place of `previous` (None: nothing known before)."""

    id: int
    revision: str
    previous: str | None
    activator: str
    rollback: bool
    at_us: int


@dataclass(frozen=True, slots=True)
class InForce:
    """What workers run. `active` None: nothing was ever activated, so the settings say; `serial`
    grows with each change.
    """

    serial: int
    active: Revision | None = None
    shadow: Revision | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What recorded decisions would have been under `revision` instead of `against`.

    `contents` are those of `revision` at that time, `event` the event `policy.replayed`, `summary`
    the report itself as plain data.
    """

    revision: str
    against: str
    contents: str
    event: str
    made_us: int
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """A revision with all that is known of it."""

    revision: Revision
    active: bool
    shadow: bool
    reports: tuple[Report, ...]
    activations: tuple[Activation, ...]
    replaced: bool = False
    """Whether another one was put in force in its place, as happens to what the settings name."""

    @property
    def state(self) -> str:
        """In one word: `active`, `shadow`, `was active` or `draft`."""
        if self.active or self.shadow:
            return "active" if self.active else "shadow"
        return "was active" if self.activations or self.replaced else "draft"


@dataclass(frozen=True, slots=True)
class Tested:
    """What a revision's own tests say: how many, and each that failed, with its file."""

    tests: int
    passed: bool
    coverage_percent: float
    failed: tuple[str, ...]


def is_revision(text: str) -> bool:
    """Whether `text` is the whole name of a revision."""
    return _REVISION.fullmatch(text) is not None


def beginning(text: str) -> str | None:
    """The name that `text` begins, with its prefix; None if it can begin none.

    Six digits are enough for people, who copy them from a list.
    """
    found = _BEGINNING.fullmatch(text)
    return None if found is None else f"sha256:{found[1]}"


def may_draft(principal: Principal) -> None:
    """Raises Forbidden (`role_missing`, `scope_missing`) unless this is an author of policy."""
    _needs_admin(principal)
    if Role.POLICY_AUTHOR not in principal.roles or principal.owner is not None:
        raise Forbidden("Putting rules in needs a policy_author.", code="role_missing")


def may_look(principal: Principal) -> None:
    """Raises Forbidden unless this is somebody who makes rules, puts them in force or runs us."""
    _needs_admin(principal)
    if principal.roles.isdisjoint({Role.POLICY_AUTHOR, Role.POLICY_ACTIVATOR, Role.OPERATOR}):
        message = "Revisions of policy are for policy_author, policy_activator and operator."
        raise Forbidden(message, code="role_missing")


def may_put_in_force(principal: Principal, revision: Revision | None = None) -> None:
    """Raises Forbidden (`role_missing`, `scope_missing`, `self_activation`); without a revision,
    whether this is an activator at all.
    """
    _needs_admin(principal)
    may_activate(principal, () if revision is None else revision.authors)


def _needs_admin(principal: Principal) -> None:
    if Scope.ADMIN not in principal.scopes:
        message = f"{principal.key_said} was not made for that (scope admin). Use another one."
        raise Forbidden(message, code="scope_missing")


def needs_report(revision: Revision, active: str | None, report: Report | None) -> Report:
    """The report, if recorded decisions were replayed with these very files against what is in
    force now. Raises Conflict (`replay_missing`).
    """
    if report is not None and (report.contents, report.against) == (revision.contents, active):
        return report
    raise Conflict(
        "Nobody has looked yet what this revision would change against the one in force. Run "
        f"`sekisho policy diff --against {revision.revision[:19]} --record` first, with an officer "
        "(docs/howto/policy.md).",
        code="replay_missing",
    )


def before(active: str | None, activations: Sequence[Activation]) -> str:
    """The revision that a rollback of `active` goes back to. `activations` oldest first.

    A rollback is no step forward: going back twice ends two revisions earlier, not where it began.
    Raises Conflict (`nothing_before`).
    """
    for one in reversed(activations):
        if one.revision == active and not one.rollback and one.previous is not None:
            return one.previous
    raise Conflict(
        "There is no revision before the one in force, so there is nothing to go back to.",
        code="nothing_before",
    )
