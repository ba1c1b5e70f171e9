"""API keys in the registry: made, taken over by another, revoked, listed.

Functions take the `Change` of a running transaction. A key belongs to one principal and can only
narrow what that principal may do: by scopes, by models, by an end. Plaintext exists when a key is
made and never again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from sekisho.adapters.api_keys import MintedKey, key_hash, mint
from sekisho.adapters.registry_schema import RegistryUnusable, api_keys
from sekisho.adapters.sql_registry import Change, now_us
from sekisho.errors import BadRequest, Conflict, NotFound
from sekisho.model.principal import Scope

KEYS_LIVE_MAX = 20  # two for rotation, some for machines; more is a leak nobody cleans up
LABEL_CHARS_MAX = 100
MODELS_MAX = 100
PATTERN_CHARS_MAX = 256  # as a model's name
DAY_US = 86_400 * 1_000_000
KEY_DAYS_MAX = 3650  # nobody plans further; a key without end is asked for by naming none
OVERLAP_DAYS_MAX = 30  # time to change a key everywhere; two live ones for longer are forgotten
_MINT_TRIES = 5  # ids are 36**8; a second clash in a row means a broken source of randomness


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as the registry lists it: never its hash."""

    id: str
    principal: str
    label: str
    created_us: int
    expires_us: int | None
    revoked_us: int | None
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a new key is for. None: the default scopes, any model, no end."""

    label: str = ""
    expires_us: int | None = None
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None


def listed(change: Change, principal: str | None = None) -> Sequence[KeyRow]:
    """All keys, or those of one principal, oldest first."""
    wanted = select(api_keys).order_by(api_keys.c.created_us, api_keys.c.id)
    if principal is not None:
        wanted = wanted.where(api_keys.c.principal == principal)
    return [_row(row) for row in change.execute(wanted)]


def get(change: Change, key: str) -> KeyRow:
    """The key with this id. Raises NotFound."""
    row = change.execute(select(api_keys).where(api_keys.c.id == key)).first()
    if row is None:
        raise NotFound(f"There is no key {key!r}. `sekisho key list` shows their ids.")
    return _row(row)


def create(change: Change, principal: str, pepper: bytes, terms: KeyTerms) -> MintedKey:
    """A fresh key of `principal`. Raises BadRequest, Conflict (`too_many_keys`), NotFound."""
    row = change.get(principal)
    if row.left_us is not None:
        raise Conflict(f"{principal} has left and gets no key.", code="principal_left")
    now = now_us()
    _check(terms, now)
    live = [key for key in listed(change, principal) if is_live(key, now)]
    if len(live) >= KEYS_LIVE_MAX:
        raise Conflict(
            f"{principal} has {KEYS_LIVE_MAX} live keys, the most there can be. Revoke one.",
            code="too_many_keys",
        )
    minted = _fresh(change)
    change.write(
        insert(api_keys).values(
            id=minted.id,
            principal=principal,
            hash=key_hash(pepper, minted.plaintext),
            label=terms.label,
            created_us=now,
            expires_us=terms.expires_us,
            scopes=None if terms.scopes is None else " ".join(sorted(set(terms.scopes))),
            models=None if terms.models is None else " ".join(terms.models),
        )
    )
    return minted


def rotate(change: Change, key: str, pepper: bytes, overlap_us: int) -> tuple[MintedKey, int]:
    """A key that takes over from `key` with the same terms; the old one ends after `overlap_us`.

    Returns the new key and when the old one ends. Raises NotFound, BadRequest for a senseless
    overlap, and Conflict for a key that is over or was rotated: it has nothing to hand on.
    """
    if not 0 <= overlap_us <= OVERLAP_DAYS_MAX * DAY_US:
        raise BadRequest(
            f"The old key works on for 0 to {OVERLAP_DAYS_MAX * 24} hours (--overlap-hours)."
        )
    old = get(change, key)
    now = now_us()
    if not is_live(old, now):
        raise Conflict(f"The key {key} is over. Make a new one: `sekisho key create`.")
    if old.replaced_by is not None:
        # Its end is that of the overlap: a key with the same terms would end with it.
        raise Conflict(
            f"The key {key} was rotated already: {old.replaced_by} takes over from it. If that one "
            f"is lost, rotate it: `sekisho key rotate {old.replaced_by} --overlap-hours 0`."
        )
    ends_us = now + overlap_us if old.expires_us is None else min(now + overlap_us, old.expires_us)
    terms = KeyTerms(old.label, old.expires_us, old.scopes, old.models)
    minted = create(change, old.principal, pepper, terms)
    taken_over = {"expires_us": ends_us, "replaced_by": minted.id}
    change.write(update(api_keys).where(api_keys.c.id == key).values(**taken_over))
    return minted, ends_us


def revoke(change: Change, key: str) -> KeyRow:
    """End a key for good. Revoking it again changes nothing. Raises NotFound."""
    row = get(change, key)
    if row.revoked_us is None:
        change.write(update(api_keys).where(api_keys.c.id == key).values(revoked_us=now_us()))
    return get(change, key)


def is_live(key: KeyRow, at_us: int) -> bool:
    """Whether the key opens anything at `at_us`."""
    return key.revoked_us is None and (key.expires_us is None or key.expires_us > at_us)


def parse_scopes(names: Collection[str]) -> tuple[str, ...]:
    """The scopes called `names`. Raises BadRequest and lists what there is."""
    known = {scope.value for scope in Scope}
    unknown = sorted(set(names) - known)
    if unknown or not names:
        what = f"There is no scope {', '.join(unknown)}." if unknown else "A key needs a scope."
        raise BadRequest(f"{what} Scopes are {', '.join(sorted(known))}.")
    if Scope.SCIM in names and len(set(names)) > 1:
        raise BadRequest(
            "A key with the scope scim does nothing else. Make two keys: one with --scopes scim "
            "for the directory, one with the other scopes."
        )
    return tuple(sorted(set(names)))


def _check(terms: KeyTerms, now: int) -> None:
    if len(terms.label) > LABEL_CHARS_MAX or not terms.label.isprintable():
        raise BadRequest(f"A label is at most {LABEL_CHARS_MAX} printable characters.")
    if terms.expires_us is not None and terms.expires_us <= now:
        raise BadRequest("The key would have expired already. Give a later time.")
    if terms.expires_us is not None and terms.expires_us > now + KEY_DAYS_MAX * DAY_US:
        raise BadRequest(
            f"A key ends after at most {KEY_DAYS_MAX} days. Give fewer, or none for a key without "
            "an end."
        )
    if terms.scopes is not None:
        parse_scopes(terms.scopes)
    if terms.models is not None:
        fits = all(
            0 < len(name) <= PATTERN_CHARS_MAX and name.isprintable() and " " not in name
            for name in terms.models
        )
        if not fits or not 0 < len(terms.models) <= MODELS_MAX:
            raise BadRequest(
                f"Give 1 to {MODELS_MAX} model names or patterns without spaces, at most "
                f"{PATTERN_CHARS_MAX} characters each."
            )


def _fresh(change: Change) -> MintedKey:
    taken = set(change.execute(select(api_keys.c.id)).scalars())
    for _ in range(_MINT_TRIES):
        minted = mint()
        if minted.id not in taken:
            return minted
    raise RegistryUnusable("No free key id was found; check the machine's randomness.")


def _row(row: Any) -> KeyRow:
    return KeyRow(
        id=row.id,
        principal=row.principal,
        label=row.label,
        created_us=row.created_us,
        expires_us=row.expires_us,
        revoked_us=row.revoked_us,
        scopes=None if row.scopes is None else tuple(row.scopes.split()),
        models=None if row.models is None else tuple(row.models.split()),
        replaced_by=row.replaced_by,
    )
