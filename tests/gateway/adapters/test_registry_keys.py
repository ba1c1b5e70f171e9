"""Keys in the registry: what they open, what narrows them, how they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.registry_keys import (
    DAY_US,
    KEY_DAYS_MAX,
    KEYS_LIVE_MAX,
    MODELS_MAX,
    OVERLAP_DAYS_MAX,
    KeyTerms,
    create,
    get,
    is_live,
    listed,
    parse_scopes,
    revoke,
    rotate,
)
from sekisho.adapters.sql_registry import Registry, now_us
from sekisho.errors import BadRequest, Conflict, NotFound

PEPPER = bytes(32)
MINUTE_US = 60_000_000


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    one = Registry.open(tmp_path / "registry.sqlite")
    with one.change() as change:
        change.put_principal("staff-7", kind="person", owner=None)
    yield one
    one.close()


def test_a_key_is_listed_without_anything_that_opens_the_door(registry: Registry) -> None:
    """The list has id, owner and times; neither plaintext nor hash is in it or in its repr."""
    with registry.change() as change:
        plaintext = create(change, "staff-7", PEPPER, KeyTerms()).plaintext
        (row,) = listed(change)
    assert row.principal == "staff-7"
    assert plaintext.split("-")[3] not in repr(row)


def test_revoking_is_final_and_repeatable(registry: Registry) -> None:
    """The second revocation keeps the time of the first; an unknown id is said."""
    with registry.change() as change:
        key = create(change, "staff-7", PEPPER, KeyTerms()).id
        first = revoke(change, key)
    with registry.change() as change:
        assert revoke(change, key) == first
    with pytest.raises(NotFound), registry.change() as change:
        revoke(change, "absent00")


def test_live_keys_are_bounded(registry: Registry) -> None:
    """Revoked keys do not count; the bound names the way out."""
    with registry.change() as change:
        keys = [create(change, "staff-7", PEPPER, KeyTerms()).id for _ in range(KEYS_LIVE_MAX)]
        with pytest.raises(Conflict, match="Revoke one"):
            create(change, "staff-7", PEPPER, KeyTerms())
        revoke(change, keys[0])
        create(change, "staff-7", PEPPER, KeyTerms())


@pytest.mark.parametrize(
    "terms",
    [
        KeyTerms(expires_us=1),
        KeyTerms(label="\x1b[31m"),
        KeyTerms(label="x" * 101),
        KeyTerms(scopes=()),
        KeyTerms(scopes=("everything",)),
        KeyTerms(scopes=("ask", "scim")),
        KeyTerms(expires_us=now_us() + (KEY_DAYS_MAX + 1) * DAY_US),
        KeyTerms(models=()),
        KeyTerms(models=("gpt 4",)),
        KeyTerms(models=("m",) * (MODELS_MAX + 1)),
    ],
)
def test_terms_that_make_no_sense_make_no_key(registry: Registry, terms: KeyTerms) -> None:
    """An end in the past, a label that steers a terminal, scopes that do not exist, no models."""
    with pytest.raises(BadRequest), registry.change() as change:
        create(change, "staff-7", PEPPER, terms)
    with registry.reading() as look:
        assert listed(look) == []


def test_a_key_hands_on_what_it_had_and_ends_a_little_later(registry: Registry) -> None:
    """Two are live for a while, so that nobody has to change a key in one instant."""
    terms = KeyTerms("laptop", now_us() + 60 * MINUTE_US, ("ask",), ("gpt-*",))
    with registry.change() as change:
        old = create(change, "staff-7", PEPPER, terms)
        new, ends_us = rotate(change, old.id, PEPPER, MINUTE_US)
        before, after = get(change, old.id), get(change, new.id)
    assert before.expires_us == ends_us
    assert is_live(before, ends_us - 1)
    assert not is_live(before, ends_us)
    same = ("label", "expires_us", "scopes", "models", "principal")
    assert [getattr(after, name) for name in same] == [*vars_of(terms), "staff-7"]


def vars_of(terms: KeyTerms) -> list[object]:
    return [terms.label, terms.expires_us, terms.scopes, terms.models]


def test_handing_on_never_lengthens_the_life_of_the_old_key(registry: Registry) -> None:
    """A key that ends in a minute is not kept alive for an hour by rotating it."""
    soon_us = now_us() + MINUTE_US
    with registry.change() as change:
        old = create(change, "staff-7", PEPPER, KeyTerms(expires_us=soon_us))
        _, ends_us = rotate(change, old.id, PEPPER, 60 * MINUTE_US)
    assert ends_us == soon_us


def test_a_key_that_is_over_has_nothing_to_hand_on(registry: Registry) -> None:
    """Otherwise rotation would undo a revocation."""
    with registry.change() as change:
        key = create(change, "staff-7", PEPPER, KeyTerms()).id
        revoke(change, key)
        with pytest.raises(Conflict):
            rotate(change, key, PEPPER, MINUTE_US)


def test_a_rotated_key_names_the_one_that_took_over(registry: Registry) -> None:
    """Rotating it again would make a key that ends with the overlap."""
    with registry.change() as change:
        old = create(change, "staff-7", PEPPER, KeyTerms()).id
        new, _ = rotate(change, old, PEPPER, MINUTE_US)
        with pytest.raises(Conflict, match=new.id):
            rotate(change, old, PEPPER, MINUTE_US)
        assert (get(change, old).replaced_by, get(change, new.id).expires_us) == (new.id, None)


@pytest.mark.parametrize("overlap_us", [-1, OVERLAP_DAYS_MAX * DAY_US + 1])
def test_an_overlap_out_of_bounds_rotates_nothing(registry: Registry, overlap_us: int) -> None:
    """The old key keeps its end."""
    with registry.change() as change:
        old = create(change, "staff-7", PEPPER, KeyTerms()).id
        with pytest.raises(BadRequest, match="720 hours"):
            rotate(change, old, PEPPER, overlap_us)
        assert [row.expires_us for row in listed(change)] == [None]


def test_scopes_are_a_few_words(registry: Registry) -> None:
    """A slip is told with the words there are."""
    assert parse_scopes(["self", "ask", "ask"]) == ("ask", "self")
    with pytest.raises(BadRequest, match="scim"):
        parse_scopes(["root"])
