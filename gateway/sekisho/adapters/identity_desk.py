"""From an identity that somebody else proved to a principal of ours.

    an issuer's token or sign-in     (issuer, subject) is linked, or `provision` makes the principal
    a trusted peer's header          names a principal that the registry knows
    a client certificate             its subject is linked under the issuer `certificate`

Groups and roles that an issuer gives are kept in the registry under the source `issuer:ID`, so that
separation of duties is checked over all sources together and the record shows every change. An
older token never undoes what a newer one said. Each change is an event first, as in `key_desk.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import orjson

from sekisho.adapters import registry_links
from sekisho.adapters.key_desk import Evidence, changed, linked
from sekisho.adapters.ledger_desk import Append
from sekisho.adapters.registry_links import CERTIFICATE, HEADER
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import GROUPS_MAX, Change, PrincipalRow, Registry, is_id
from sekisho.errors import BadRequest, Conflict, LedgerUnavailable, NotAuthenticated
from sekisho.model.identity import Identity
from sekisho.model.principal import Authentication, Principal, Role
from sekisho.ports import Ledger
from sekisho_audit.events import Event

NEWEST_KEPT = 20_000  # identities of one worker; a forgotten one costs a look into the registry
APPEND_S = 5.0  # longer than the ledger's own deadline, which decides

# These go only to whoever proved the identity, so they may name it: an operator needs it whole.
_SHOWN = {
    CERTIFICATE: "Your client certificate is good and names {subject}",
    HEADER: "The proxy in front of this gateway says that you are {subject}",
}
_SIGNED_IN = "You are known to {issuer} as {subject}"
_LINK = (
    "Ask an operator, with your id here in place of ID: sekisho principal link ID "
    "--issuer {issuer} --subject={subject}"
)
_SHUT_OUT = (
    "You are {principal} here, and {principal} is shut out or has left. Ask an operator, who sees "
    "which with: sekisho principal list"
)


@dataclass(frozen=True, slots=True)
class Mapped:
    """How one issuer's groups become ours: `provision` makes principals for strangers."""

    provision: bool = False
    groups: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class IdentityDesk:
    """Finds, links and makes principals for proved identities, on one worker."""

    def __init__(
        self,
        directory: SqlDirectory,
        registry: Registry,
        evidence: Evidence,
        issuers: Mapping[str, Mapped],
    ) -> None:
        self._directory = directory
        self._registry = registry
        self._evidence = evidence
        self._issuers = issuers
        self._newest_us: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def principal_for(self, identity: Identity, how: Authentication) -> Principal:
        """The principal this identity means, with what its issuer says of it up to date.

        Raises NotAuthenticated (`not_linked`, `name_taken`), Forbidden (`duties_conflict`),
        DirectoryUnavailable, LedgerUnavailable.
        """
        known = self._directory.link(identity.issuer, identity.subject)
        newest_us = self._newest_us.get((identity.issuer, identity.subject), 0)
        silent = identity.groups is None or identity.issued_us <= newest_us
        if known is not None and (silent or identity.issued_us <= known.as_of_us):
            principal = known.principal
        else:
            principal = await asyncio.to_thread(self._renew, identity)
            self._note(identity)
            await self._directory.refresh()
        credential = HEADER if identity.issuer == HEADER else identity.credential
        return self._let_in(principal, credential, how)

    async def named(self, name: str, groups: tuple[str, ...], issued_us: int) -> Principal:
        """The principal a trusted peer names. It must be in the registry already."""
        identity = Identity(HEADER, name, name, groups, issued_us)
        known = self._directory.link(HEADER, name)
        if known is not None and known.claims == _digest(*self._given(HEADER, groups)):
            return self._let_in(known.principal, HEADER, Authentication.HEADER)
        return await self.principal_for(identity, Authentication.HEADER)

    def certified(self, subject: str) -> Principal:
        """The principal a client certificate is linked to."""
        known = self._directory.link(CERTIFICATE, subject)
        if known is None:
            _stranger(CERTIFICATE, subject)
        return self._let_in(known.principal, CERTIFICATE, Authentication.CERTIFICATE)

    def _let_in(self, principal: str, credential: str, how: Authentication) -> Principal:
        """The principal of a proved identity; what the directory says of keys fits nobody here."""
        try:
            return self._directory.by_id(principal, credential, how)
        except NotAuthenticated as error:
            raise NotAuthenticated(
                _SHUT_OUT.format(principal=principal),
                cause=error.cause,
                credential=error.credential,
                code="identity_shut_out",
            ) from error

    def _note(self, identity: Identity) -> None:
        """What this worker need not ask the registry about again."""
        place = (identity.issuer, identity.subject)
        self._newest_us[place] = identity.issued_us
        self._newest_us.move_to_end(place)
        if len(self._newest_us) > NEWEST_KEPT:
            self._newest_us.popitem(last=False)

    def _given(self, issuer: str, said: tuple[str, ...]) -> tuple[frozenset[str], frozenset[Role]]:
        """Groups and roles by the issuer's table. A trusted peer's groups are ours by name."""
        if issuer == HEADER:
            return frozenset(name for name in said if is_id(name)), frozenset()
        mapped = self._issuers[issuer]
        groups = {mapped.groups[name] for name in said if name in mapped.groups}
        roles = {role for name in said for role in mapped.roles.get(name, ())}
        few = frozenset(sorted(groups)[:GROUPS_MAX])
        return few, frozenset(Role(role) for role in roles)

    def _renew(self, identity: Identity) -> str:
        """One transaction: link, make if need be, and take over what the issuer gives."""
        with self._evidence() as append, self._registry.change() as change:
            known = registry_links.find_link(change, identity.issuer, identity.subject)
            if known is None:
                row = self._linked(change, identity, append)
            else:
                row = change.get(known.principal)
                if known.as_of_us >= identity.issued_us:  # another worker was here first
                    return row.id
            if identity.groups is None:  # an access token often says nothing of them
                return row.id
            groups, roles = self._given(identity.issuer, identity.groups)
            source = HEADER if identity.issuer == HEADER else f"issuer:{identity.issuer}"
            before = change.given(row.id, source)
            if before != (frozenset(role.value for role in roles), groups):
                change.set_roles(row.id, roles, source)
                after = change.set_groups(row.id, groups, source)
                append([changed(after, "claims", source=source, actor=row.id)])
            digest = _digest(groups, roles)
            registry_links.note_claims(
                change, identity.issuer, identity.subject, digest, identity.issued_us
            )
        return row.id

    def _linked(self, change: Change, identity: Identity, append: Append) -> PrincipalRow:
        """Link a stranger: a named principal from a trusted peer, or one made for a token."""
        if identity.issuer == HEADER:
            row = change.find(identity.subject.lower())
            if row is None or row.left_us is not None or row.kind != "person":
                _stranger(HEADER, identity.subject)
        else:
            row = self._made(change, identity, append)
        link = registry_links.link(change, identity.issuer, identity.subject, row.id)
        append([linked(link, there=True, actor=row.id)])
        return row

    def _made(self, change: Change, identity: Identity, append: Append) -> PrincipalRow:
        known_before = registry_links.was_linked(change, identity.issuer, identity.subject)
        if known_before or not self._issuers[identity.issuer].provision:
            # Whoever was unlinked does not come back as somebody new beside who they were.
            _stranger(identity.issuer, identity.subject)
        name = identity.name.lower()
        if not is_id(name) or change.find(name) is not None:
            # Whoever can choose this claim must not become somebody who is here already.
            raise NotAuthenticated(
                f"The name {identity.issuer} gives you cannot be used here: it is taken or not a "
                f"name. {_ask_for_link(identity.issuer, identity.subject)}",
                cause="name_taken",
                credential=identity.credential,
                code="identity_not_linked",
            )
        try:
            row = change.put_principal(name, kind="person", owner=None)
        except (BadRequest, Conflict):
            _stranger(identity.issuer, identity.subject)
        append([changed(row, "created", source=f"issuer:{identity.issuer}", actor=name)])
        return row


def worker_evidence(ledger: Ledger, loop: asyncio.AbstractEventLoop) -> Evidence:
    """Evidence for changes made in a thread of a worker: its loop appends, the thread waits."""

    def append(events: Sequence[Event]) -> None:
        asked = asyncio.run_coroutine_threadsafe(_append(ledger, events), loop)
        try:
            asked.result(APPEND_S)
        except (TimeoutError, CancelledError) as error:
            asked.cancel()
            message = "The audit log did not answer, so nothing was changed. Try again."
            raise LedgerUnavailable(message) from error

    @contextmanager
    def evidence() -> Iterator[Append]:
        yield append

    return evidence


async def _append(ledger: Ledger, events: Sequence[Event]) -> None:
    await ledger.append(events)


def _digest(groups: frozenset[str], roles: frozenset[Role]) -> str:
    said = [sorted(groups), sorted(role.value for role in roles)]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


def _stranger(issuer: str, subject: str) -> NoReturn:
    met = _SHOWN.get(issuer, _SIGNED_IN).format(issuer=issuer, subject=subject)
    raise NotAuthenticated(
        f"{met}, but that means nobody here. {_ask_for_link(issuer, subject)}",
        cause="not_linked",
        credential=issuer,
        code="identity_not_linked",
    )


def _ask_for_link(issuer: str, subject: str) -> str:
    return _LINK.format(issuer=issuer, subject=shlex.quote(subject))
