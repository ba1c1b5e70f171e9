"""Where the life of a revision happens: draft, report, activation, rollback, each with its event.

As in `key_desk.py` the event is durable before the registry's transaction ends: without evidence
nothing changes. Who may do what is in `model/revisions.py`; this module fetches what those rules
ask about, and asks again inside the transaction, because tests take seconds and a second draft may
come meanwhile.

Until the first activation the directory in the settings is in force, as a worker read it when it
began: who edits it there compares with what decides and not with their own edit. It is then put in
too, as what there was before, so that the first rollback finds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sekisho.adapters import registry_policies
from sekisho.adapters.bundle import Bundle, read_bundle
from sekisho.adapters.ledger_desk import Append
from sekisho.adapters.policy_check import TestReport, check_bundle, test_bundle
from sekisho.adapters.policy_store import PolicyStore, write_files
from sekisho.adapters.signed_commit import CommitNotTrusted, SignedFiles
from sekisho.adapters.sql_registry import Change, Registry
from sekisho.errors import Conflict, PolicyRejected
from sekisho.model.ids import is_id, uuid7
from sekisho.model.principal import Principal
from sekisho.model.revisions import (
    Activation,
    InForce,
    Known,
    Report,
    Revision,
    Tested,
    before,
    may_draft,
    may_look,
    may_put_in_force,
    needs_report,
)
from sekisho_audit.events import Event

FAULTS_TOLD_MAX = 32  # in one event; the command tells all
FAULT_CHARS_MAX = 500
SOURCE_CHARS_MAX = 200
SETTINGS = "settings"
"""What the source of the revision is called that was in force before the first activation."""

Evidence = Callable[[], AbstractContextManager[Append]]


class PolicyDesk:
    """Changes and lists revisions of one installation. Synchronous: for commands and threads."""

    def __init__(
        self, store: PolicyStore, registry: Callable[[], Registry], evidence: Evidence, first: Path
    ) -> None:
        """`first` is the directory that the settings name."""
        self._store = store
        self._registry = registry
        self._evidence = evidence
        self._first = first

    # -- looking

    def listed(self, who: Principal) -> Sequence[Known]:
        """All revisions, the newest first."""
        may_look(who)
        with self._registry().reading() as registry:
            state = registry_policies.in_force(registry)
            return [_known(registry, row, state) for row in registry_policies.listed(registry)]

    def known(self, who: Principal, named: str) -> Known:
        """One revision by its digest or the beginning of it."""
        may_look(who)
        with self._registry().reading() as registry:
            row = registry_policies.get(registry, named)
            return _known(registry, row, registry_policies.in_force(registry))

    def bundle(self, named: str) -> tuple[Revision, Bundle]:
        """A revision with its files, checked against its digests."""
        with self._registry().reading() as registry:
            row = registry_policies.get(registry, named)
        return row, self._store.read(row.revision, row.contents)

    def active(self) -> Bundle:
        """What is in force: the activated revision, else that of the settings."""
        with self._registry().reading() as registry:
            row = registry_policies.in_force(registry).active
        if row is None:
            return self._first_bundle()
        return self._store.read(row.revision, row.contents)

    def place_of(self, named: str | None) -> Path:
        """Where a revision is kept, or what is in force; its files are whole."""
        if named is not None:
            row, _ = self.bundle(named)
            return self._store.place(row.contents)
        with self._registry().reading() as registry:
            active = registry_policies.in_force(registry).active
        if active is not None:
            return self.place_of(active.revision)
        noted = self._store.first()
        return self._first if noted is None else self._store.place(noted.contents)

    def tested(self, who: Principal, named: str) -> Tested:
        """What the revision's own tests say."""
        may_look(who)
        row, _ = self.bundle(named)
        report = self._test(self._store.place(row.contents))
        red = [f"{one.file}: {one.name}" for one in report.results if not one.passed]
        failed = (*report.faults, *red)
        return Tested(len(report.results), report.passed, report.coverage_percent, failed)

    # -- changing

    def draft(
        self,
        author: Principal,
        directory: Path,
        source: str = "",
        commit: SignedFiles | None = None,
    ) -> Revision:
        """Put in the rules of a directory. Raises PolicyRejected for what could not run.

        Who signed the `commit` that they come from is an author of them as well. CommitNotTrusted
        if that is nobody here.
        """
        may_draft(author)
        bundle = self._read(directory)
        self._store.put(bundle)
        # What is kept is judged, not the directory, which may change meanwhile.
        faults = self._faults(self._store.place(bundle.contents))
        if faults:
            raise PolicyRejected(faults)
        named = (source or directory.name)[:SOURCE_CHARS_MAX]
        data = {"revision": bundle.revision, "contents": bundle.contents, "bundle": named}
        if commit is not None:
            data |= {"signer": commit.signer, "commit": commit.commit}
        with self._evidence() as append, self._registry().change() as change:
            row = registry_policies.draft(change, bundle.revision, bundle.contents, named, author)
            if commit is not None:
                _must_be_a_person(change, commit.signer)
                registry_policies.add_author(change, bundle.revision, commit.signer, commit.signer)
                row = registry_policies.get(change, bundle.revision)
            append([Event(uuid7(), "policy.drafted", None, None, data, author.id)])
        return row

    def draft_commit(self, author: Principal, commit: SignedFiles, source: str) -> Revision:
        """As `draft`, for the files of a signed commit."""
        may_draft(author)
        with TemporaryDirectory(prefix="sekisho-draft-") as folder:
            place = Path(folder) / "bundle"
            write_files(place, commit.files)
            return self.draft(author, place, source, commit)

    def draft_files(self, author: Principal, files: Mapping[str, bytes], source: str) -> Revision:
        """As `draft`, for files that were sent."""
        may_draft(author)
        with TemporaryDirectory(prefix="sekisho-draft-") as folder:
            place = Path(folder) / "bundle"
            write_files(place, files)
            return self.draft(author, place, source)

    def record_replay(self, who: Principal, named: str, made: Report) -> Report:
        """Take a report on record, for whoever activates. Raises Conflict if it is about files
        that were replaced meanwhile.
        """
        may_look(who)
        summary = made.summary
        data: dict[str, Any] = {"revision": made.revision, "previous": made.against}
        data |= {name: summary[name] for name in ("decisions", "unread", "since_us")}
        data |= {name: summary["changed"][name] for name in ("denied", "held", "freed")}
        with self._evidence() as append, self._registry().change() as change:
            row = registry_policies.get(change, named)
            if (row.revision, row.contents) != (made.revision, made.contents):
                message = "The revision was put in again meanwhile. Run the replay again."
                raise Conflict(message, code="revision_changed")
            noted = replace(made, event=uuid7(), made_us=time.time_ns() // 1000)
            registry_policies.put_report(change, noted)
            append([Event(noted.event, "policy.replayed", None, None, data, who.id)])
        return noted

    def activate(self, activator: Principal, named: str) -> Activation:
        """Put a revision in force: tests green, replayed against the one in force, and by nobody
        who wrote it. Raises Forbidden, Conflict, PolicyRejected (recorded), PolicyStoreUnusable.
        """
        may_put_in_force(activator)
        first = self._before_the_first()
        with self._registry().reading() as registry:
            row = registry_policies.get(registry, named)
            self._may_follow(registry, activator, row, first)
        tests = self._green(activator, row)
        with self._evidence() as append, self._registry().change() as change:
            now = registry_policies.get(change, row.revision)
            if now.contents != row.contents:
                message = "The revision was put in again meanwhile, with other tests. Try again."
                raise Conflict(message, code="revision_changed")
            previous, report = self._may_follow(change, activator, now, first)
            if first is not None and previous == first.revision:
                registry_policies.draft(change, first.revision, first.contents, SETTINGS, None)
            event = _activated(
                *(now.revision, previous, activator, "activated"), report=report.event, tests=tests
            )
            done = registry_policies.activate(
                change, now.revision, previous, activator.id, rollback=False
            )
            append([event])
        return done

    def rollback(self, activator: Principal) -> Activation:
        """Go back to the revision before. It was tested and activated by two persons once, so
        nothing is asked of it but to be whole; its author cannot bring it back alone.
        """
        may_put_in_force(activator)
        with self._registry().reading() as registry:
            row = self._step_back(registry, activator)
        bundle = self._store.read(row.revision, row.contents)
        with self._evidence() as append, self._registry().change() as change:
            state = registry_policies.in_force(change)
            if self._step_back(change, activator).revision != bundle.revision:
                raise Conflict("Another revision was put in force meanwhile. Look again.")
            active = state.active.revision if state.active else None
            done = registry_policies.activate(
                change, bundle.revision, active, activator.id, rollback=True
            )
            append([_activated(bundle.revision, active, activator, "rollback")])
        return done

    def shadow(self, activator: Principal, named: str | None) -> str:
        """Let a revision decide beside the one in force, or (None) none; which it was. Its author
        does not: it sees all traffic.
        """
        may_put_in_force(activator)
        with self._evidence() as append, self._registry().change() as change:
            state = registry_policies.in_force(change)
            row = state.shadow if named is None else registry_policies.get(change, named)
            if row is None or (named is not None and row == state.active):
                message = "No revision is in the shadow." if row is None else "It is in force."
                raise Conflict(message, code="no_shadow")
            if named is not None:
                may_put_in_force(activator, row)
                self._store.read(row.revision, row.contents)
            registry_policies.set_shadow(change, None if named is None else row.revision)
            data = {"revision": row.revision, "ended": named is None}
            append([Event(uuid7(), "policy.shadow_changed", None, None, data, activator.id)])
        return row.revision

    # -- what runs rules that nobody has judged yet: a command does it in itself, and ends

    def _read(self, directory: Path) -> Bundle:
        """The rules of a directory. Raises PolicyRejected."""
        return read_bundle(directory)

    def _faults(self, place: Path) -> list[str]:
        """Why the gateway would not run them; empty if it would."""
        return [str(fault) for fault in check_bundle(place)]

    def _test(self, place: Path) -> TestReport:
        """What their own tests say."""
        return test_bundle(place)

    # -- what those are made of

    def _step_back(self, registry: Change, activator: Principal) -> Revision:
        state = registry_policies.in_force(registry)
        active = state.active.revision if state.active else None
        row = registry_policies.get(
            registry, before(active, registry_policies.activations(registry))
        )
        may_put_in_force(activator, row)
        return row

    def _may_follow(
        self, registry: Change, activator: Principal, row: Revision, first: Bundle | None
    ) -> tuple[str | None, Report]:
        """The revision in force and the report on it. Raises Forbidden, Conflict."""
        may_put_in_force(activator, row)
        state = registry_policies.in_force(registry)
        active = state.active.revision if state.active else first.revision if first else None
        if state.active is not None and active == row.revision:
            raise Conflict("This revision is in force already.", code="already_active")
        report = registry_policies.report(registry, row.revision, active)
        return active, needs_report(row, active, report)

    def _before_the_first(self) -> Bundle | None:
        """The bundle of the settings, kept, as long as nothing was activated."""
        with self._registry().reading() as registry:
            if registry_policies.in_force(registry).active is not None:
                return None
        bundle = self._first_bundle()
        self._store.put(bundle)
        return bundle

    def _first_bundle(self) -> Bundle:
        """As a worker began with it; of the directory itself, if none ever did."""
        return self._store.first() or read_bundle(self._first)

    def _green(self, activator: Principal, row: Revision) -> int:
        """How many tests passed. Raises PolicyRejected, which is on record then."""
        self._store.read(row.revision, row.contents)
        place = self._store.place(row.contents)
        faults = self._faults(place)
        report = self._test(place)
        if not faults and not report.passed:
            red = [one for one in report.results if not one.passed]
            faults = [*report.faults, *(f"{one.file}:1: {one.name} failed" for one in red)]
            faults = faults or ["data.yaml:1: the bundle has no tests of its own"]
        if not faults:
            return len(report.results)
        told = [fault[:FAULT_CHARS_MAX] for fault in faults[:FAULTS_TOLD_MAX]]
        data = {"revision": row.revision, "faults": told, "cause": "not_green"}
        with self._evidence() as append:
            append([Event(uuid7(), "policy.rejected", None, None, data, activator.id)])
        raise PolicyRejected(faults)


def _must_be_a_person(registry: Change, signer: str) -> None:
    """Raises CommitNotTrusted for a name that no person has who is here."""
    row = registry.find(signer) if is_id(signer) else None
    if row is None or row.kind != "person" or row.disabled or row.left_us is not None:
        raise CommitNotTrusted(
            f"The commit is signed by {ascii(signer)[:200]}, who is no person here: list keys in "
            "[policy] allowed_signers under the ids of persons (`sekisho principal list`)."
        )


def _activated(
    revision: str, previous: str | None, activator: Principal, cause: str, **more: Any
) -> Event:
    data = {"revision": revision, "cause": cause, **more}
    if previous is not None:
        data["previous"] = previous
    return Event(uuid7(), "policy.activated", None, None, data, activator.id)


def _known(registry: Change, row: Revision, state: InForce) -> Known:
    done = registry_policies.activations(registry)
    return Known(
        row,
        active=state.active == row,
        shadow=state.shadow == row,
        reports=tuple(registry_policies.reports(registry, row.revision)),
        activations=tuple(one for one in done if one.revision == row.revision),
        replaced=any(one.previous == row.revision for one in done),
    )
