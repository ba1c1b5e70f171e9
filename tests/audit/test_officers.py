"""Who may use payload keys stands in a private file, and nothing in it opens anything."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.officers import (
    DUTIES,
    FILE,
    FORMAT,
    TWO_AT_FIRST,
    BadOfficers,
    Roll,
    add,
    load,
    mint,
    remove,
    secret_hash,
    set_two,
    well_formed,
)

NAME = "officer-1@ledger.example"


def test_nobody_is_an_officer_at_first(tmp_path: Path) -> None:
    """Without a file nobody may do anything."""
    assert load(tmp_path) == Roll()


def test_a_secret_opens_its_own_office(tmp_path: Path) -> None:
    """And no other; the file holds neither secret."""
    first, second = add(tmp_path, NAME, ("erase",)), add(tmp_path, "other", ("disclose",))
    officers = load(tmp_path).officers
    assert officers[NAME].opens(first)
    assert not officers[NAME].opens(second)
    assert not officers[NAME].opens("")
    assert not officers[NAME].opens("\ud800")
    raw = (tmp_path / FILE).read_text()
    assert first not in raw
    assert first.split("-")[3] not in raw
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_new_secret_ends_the_old_one(tmp_path: Path) -> None:
    """Adding somebody again replaces secret and duties, and the public name with them."""
    old = add(tmp_path, NAME, ("erase", "disclose"))
    before = load(tmp_path).officers[NAME]
    new = add(tmp_path, NAME, ("erase",))
    after = load(tmp_path).officers[NAME]
    assert (after.opens(old), after.opens(new)) == (False, True)
    assert after.duties == ("erase",)
    assert after.credential != before.credential


def test_a_removed_officer_is_gone(tmp_path: Path) -> None:
    add(tmp_path, NAME, ("erase",))
    remove(tmp_path, NAME)
    assert load(tmp_path).officers == {}
    with pytest.raises(BadOfficers, match="is no officer"):
        remove(tmp_path, NAME)


def test_what_cannot_be_undone_needs_two_at_first(tmp_path: Path) -> None:
    """Until somebody who holds the keys says otherwise, which is on record then."""
    add(tmp_path, NAME, DUTIES)
    assert load(tmp_path).two == TWO_AT_FIRST == ("erase", "legal_hold")


def test_duties_for_two_are_kept(tmp_path: Path) -> None:
    """Whoever is added later does not change them."""
    set_two(tmp_path, ("erase", "disclose"))
    add(tmp_path, NAME, DUTIES)
    assert load(tmp_path).two == ("disclose", "erase")
    set_two(tmp_path, ())
    assert load(tmp_path).two == ()


@pytest.mark.parametrize("name", ["", "Officer", "a b", "x" * 129, "a\nb", "-x", "ä"])
def test_names_are_those_of_principals(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadOfficers, match="cannot be an officer"):
        add(tmp_path, name, ("erase",))


@pytest.mark.parametrize("duties", [(), ("everything",), ("erase", "Erase")])
def test_duties_are_the_known_ones(tmp_path: Path, duties: tuple[str, ...]) -> None:
    with pytest.raises(BadOfficers, match="disclose"):
        add(tmp_path, NAME, duties)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "{}",
        "null",
        {"format": "sekisho-officers/v2", "officers": {}, "two": []},
        {"format": FORMAT, "officers": {}, "two": "erase"},
        {"format": FORMAT, "officers": {}, "two": ["everything"]},
        {"format": FORMAT, "officers": [], "two": []},
        {"format": FORMAT, "officers": {"X": {"secret": "0" * 64, "duties": []}}, "two": []},
        {"format": FORMAT, "officers": {"x": {"secret": "0" * 63, "duties": []}}, "two": []},
        {"format": FORMAT, "officers": {"x": {"secret": 7, "duties": []}}, "two": []},
        {"format": FORMAT, "officers": {"x": {"secret": "0" * 64}}, "two": []},
        {"format": FORMAT, "officers": {"x": {"secret": "0" * 64, "duties": [7]}}, "two": []},
        "[" * 100_000,
    ],
)
def test_what_is_no_file_of_officers_is_refused(tmp_path: Path, said: Any) -> None:
    """Whole: an entry that cannot be read could be the one that was taken away."""
    path = tmp_path / FILE
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    path.chmod(0o600)
    with pytest.raises(BadOfficers, match="is not a file of officers"):
        load(tmp_path)


def test_a_file_open_to_others_is_refused(tmp_path: Path) -> None:
    add(tmp_path, NAME, ("erase",))
    (tmp_path / FILE).chmod(0o660)
    with pytest.raises(BadOfficers, match="chmod 600"):
        load(tmp_path)


def test_a_slip_is_told_from_a_guess() -> None:
    """Any changed character of a secret is seen before it is sent anywhere."""
    secret = mint()
    assert well_formed(secret)
    for place in range(len(secret)):
        other = "0" if secret[place] != "0" else "1"
        assert not well_formed(secret[:place] + other + secret[place + 1 :])
    assert not well_formed(secret[:-1])
    assert not well_formed(secret + "\n")
    assert secret_hash(secret) != secret_hash(secret + " ")


def test_changes_at_once_do_not_undo_one_another(tmp_path: Path) -> None:
    """Two commands at the same time both count."""
    names = [f"officer-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: add(tmp_path, name, ("erase",)), names))
    assert sorted(load(tmp_path).officers) == sorted(names)
