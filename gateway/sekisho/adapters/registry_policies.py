"""Revisions of policy in the registry: authors, reports, activations, what is in force.

Functions take the `Change` of a running transaction. Authors are only ever added: who puts the same
files in again becomes one more author and nobody stops being one, so nobody can be written out of
what they wrote in order to activate it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import insert, select, update

from sekisho.adapters.registry_schema import (
    policy_activations,
    policy_authors,
    policy_reports,
    policy_revisions,
    policy_state,
)
from sekisho.adapters.sql_registry import Change, now_us
from sekisho.errors import BadRequest, Conflict, NotFound
from sekisho.model.principal import Principal
from sekisho.model.revisions import Activation, InForce, Report, Revision, beginning

_KEPT_TESTS = (
    "These rules are in force, or were, with the tests that were judged then. Change a rule file "
    "as well, be it a comment: then they are a revision of their own."
)


def draft(
    change: Change, revision: str, contents: str, source: str, author: Principal | None
) -> Revision:
    """Note a bundle that was put in, and its author; without one, it came with the settings.

    Tests are no part of a revision, so the same rules may come with others; not once they are or
    were in force, since workers read all of it when they start. Raises Conflict
    (`revision_in_force`).
    """
    known = change.execute(
        select(policy_revisions).where(policy_revisions.c.revision == revision)
    ).first()
    if known is None:
        change.write(
            insert(policy_revisions).values(
                revision=revision, contents=contents, source=source, drafted_us=now_us()
            )
        )
    elif known.contents != contents:
        if author is not None and _was_in_force(change, revision):
            raise Conflict(_KEPT_TESTS, code="revision_in_force")
        change.write(
            update(policy_revisions)
            .where(policy_revisions.c.revision == revision)
            .values(contents=contents)
        )
    if author is not None:
        add_author(change, revision, author.id, author.person)
    return get(change, revision)


def _was_in_force(change: Change, revision: str) -> bool:
    """Whether it decides, or did, and may again by a rollback."""
    columns = policy_activations.c
    wanted = select(columns.id).where(
        (columns.revision == revision) | (columns.previous == revision)
    )
    return change.execute(wanted).first() is not None


def add_author(change: Change, revision: str, principal: str, person: str) -> None:
    """Note an author of a revision, for good."""
    row = {"revision": revision, "principal": principal, "person": person}
    there = [policy_authors.c[name] == value for name, value in row.items()]
    if change.execute(select(policy_authors).where(*there)).first() is None:
        change.write(insert(policy_authors).values(row))


def listed(change: Change) -> Sequence[Revision]:
    """All revisions, the newest first."""
    authors = _authors(change)
    wanted = select(policy_revisions).order_by(policy_revisions.c.drafted_us.desc())
    return [
        Revision(
            row.revision, row.contents, row.source, row.drafted_us, authors.get(row.revision, ())
        )
        for row in change.execute(wanted)
    ]


def _authors(change: Change) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for row in change.execute(select(policy_authors)):
        found.setdefault(row.revision, set()).update((row.principal, row.person))
    return {revision: tuple(sorted(names)) for revision, names in found.items()}


def get(change: Change, named: str) -> Revision:
    """The revision whose name begins so. Raises BadRequest, NotFound."""
    begins = beginning(named)
    if begins is None:
        raise BadRequest(
            f"{named[:80]!r} names no revision: write its digest, or at least six digits of it. "
            "`sekisho policy list` shows them."
        )
    found = [row for row in listed(change) if row.revision.startswith(begins)]
    if not found:
        raise NotFound(f"There is no revision {named}. `sekisho policy list` shows them.")
    if len(found) > 1:
        raise BadRequest(f"{len(found)} revisions begin with {named}: write more of its digest.")
    return found[0]


def serial(change: Change) -> int:
    """How often what workers run has changed."""
    return int(change.execute(select(policy_state.c.serial)).scalar_one())


def in_force(change: Change) -> InForce:
    """What workers run."""
    row = change.execute(select(policy_state)).one()
    return InForce(
        row.serial,
        None if row.active is None else get(change, row.active),
        None if row.shadow is None else get(change, row.shadow),
    )


def activations(change: Change) -> Sequence[Activation]:
    """All activations, oldest first."""
    rows = change.execute(select(policy_activations).order_by(policy_activations.c.id))
    return [
        Activation(row.id, row.revision, row.previous, row.activator, row.rollback, row.at_us)
        for row in rows
    ]


def activate(
    change: Change, revision: str, previous: str | None, activator: str, *, rollback: bool
) -> Activation:
    """Put a revision in force, on every worker within a second or so. The shadow ends if it was
    this one.
    """
    change.write(
        insert(policy_activations).values(
            revision=revision,
            previous=previous,
            activator=activator,
            rollback=rollback,
            at_us=now_us(),
        )
    )
    state = in_force(change)
    shadow = state.shadow.revision if state.shadow else None
    change.write(
        update(policy_state).values(
            serial=state.serial + 1,
            active=revision,
            shadow=None if shadow == revision else shadow,
        )
    )
    return activations(change)[-1]


def set_shadow(change: Change, revision: str | None) -> None:
    """Let a revision decide beside the active one, or none."""
    change.write(update(policy_state).values(serial=serial(change) + 1, shadow=revision))


def report(change: Change, revision: str, against: str | None) -> Report | None:
    """What was found when recorded decisions were replayed."""
    row = change.execute(
        select(policy_reports).where(
            policy_reports.c.revision == revision, policy_reports.c.against == against
        )
    ).first()
    if row is None:
        return None
    summary = json.loads(row.report)
    return Report(row.revision, row.against, row.contents, row.event, row.made_us, summary)


def reports(change: Change, revision: str) -> Sequence[Report]:
    """All reports on a revision."""
    rows = change.execute(
        select(policy_reports.c.against).where(policy_reports.c.revision == revision)
    )
    found = (report(change, revision, against) for against in rows.scalars())
    return [one for one in found if one is not None]


def put_report(change: Change, made: Report) -> None:
    """Keep a report in place of the one before on the same two revisions."""
    values = {
        "contents": made.contents,
        "event": made.event,
        "report": json.dumps(made.summary),
        "made_us": made.made_us,
    }
    there = (
        policy_reports.c.revision == made.revision,
        policy_reports.c.against == made.against,
    )
    if report(change, made.revision, made.against) is not None:
        change.write(update(policy_reports).where(*there).values(values))
    else:
        named = {"revision": made.revision, "against": made.against}
        change.write(insert(policy_reports).values({**named, **values}))
