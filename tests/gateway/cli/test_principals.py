from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from sekisho.cli import main


@pytest.fixture
def place(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, ...]:
    """The option that names an installation where staff-7 has a key."""
    option = ("--config", str(config))
    assert main(["key", "create", *option, "--principal", "staff-7", "--roles", "employee"]) == 0
    capsys.readouterr()
    return option


def grant(
    capsys: pytest.CaptureFixture[str], place: tuple[str, ...], *words: str
) -> dict[str, Any]:
    assert main(["principal", "grant", "staff-7", "--json", *place, *words]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    return dict(row)


def test_grant_sets_exactly_what_is_given(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not named stays; an empty list takes all away."""
    row = grant(capsys, place, "--roles", "reviewer", "--groups", "legal,sales")
    assert (row["roles"], row["groups"]) == (["reviewer"], ["legal", "sales"])
    row = grant(capsys, place, "--groups", "")
    assert (row["roles"], row["groups"]) == (["reviewer"], [])


def test_a_principal_is_shut_out_and_let_in(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are one command."""
    assert grant(capsys, place, "--disable")["disabled"] is True
    assert grant(capsys, place, "--enable")["disabled"] is False


def test_the_list_is_a_table(place: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """People read names and words."""
    assert main(["principal", "list", *place]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["id", "kind", "owner", "state"]
    assert row.split()[:4] == ["staff-7", "person", "-", "active"]


def test_the_list_tells_who_left_from_who_is_shut_out(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them can be let in again."""
    assert grant(capsys, place, "--disable")["state"] == "disabled"
    assert grant(capsys, place, "--enable")["state"] == "active"
    (row,) = shown(capsys, place, "leave", "staff-7", "--yes")
    assert row["state"] == "left"


def test_a_forbidden_combination_is_refused(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Separation of duties holds at the command line too, and nothing changes."""
    words = ("grant", "staff-7", *place, "--roles", "auditor,policy_activator")
    assert main(["principal", *words]) == 1
    assert "different people" in capsys.readouterr().err
    assert grant(capsys, place, "--groups", "x")["roles"] == ["employee"]


def test_an_unknown_principal_is_said(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`grant` makes nobody; the message names the way to find out who there is."""
    assert main(["principal", "grant", "staff-8", *place, "--roles", "employee"]) == 1
    assert "principal list" in capsys.readouterr().err


def shown(
    capsys: pytest.CaptureFixture[str], place: tuple[str, ...], *words: str
) -> list[dict[str, Any]]:
    assert main(["principal", *words, "--json", *place]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_training_and_owner_are_set(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A date is a date; who answers for a service account can change."""
    row = grant(capsys, place, "--training-until", "2027-01-31")
    assert row["training_until"] == "2027-01-31T00:00:00Z"
    for name in (("svc-batch", "--owner", "staff-7"), ("staff-8",)):
        assert main(["key", "create", *place, "--principal", *name]) == 0
    capsys.readouterr()
    (row,) = shown(capsys, place, "grant", "svc-batch", "--owner", "staff-8")
    assert row["owner"] == "staff-8"
    with pytest.raises(SystemExit):
        main(["principal", "grant", "staff-7", *place, "--training-until", "soon"])


def test_identities_elsewhere_are_linked_and_unlinked(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only those of issuers in the settings, of certificates and of headers; an end is shown."""
    words = ("--issuer", "certificate", "--subject", "uri:spiffe://corp/batch")
    (row,) = shown(capsys, place, "link", "staff-7", *words)
    assert shown(capsys, place, "links", "--principal", "staff-7") == [row]
    assert (row["subject"], row["ended"]) == ("uri:spiffe://corp/batch", None)
    (ended,) = shown(capsys, place, "unlink", *words)
    assert ended["ended"]
    assert shown(capsys, place, "links") == []
    (row,) = shown(capsys, place, "link", "staff-7", "--issuer", "header", "--subject=J.Doe@corp")
    assert row["principal"] == "staff-7"
    assert main(["principal", "unlink", *place, "--issuer", "header", "--subject=J.Doe@corp"]) == 0
    head, ended_row = capsys.readouterr().out.splitlines()
    assert head.split()[-1] == "ended"
    assert ended_row.split()[-1].endswith("Z")
    words = ("link", "staff-7", *place, "--issuer", "absent", "--subject", "x")
    assert main(["principal", *words]) == 1
    assert "no issuer" in capsys.readouterr().err


@pytest.mark.parametrize("subject", ["spiffe://corp/batch", "staff-7", "uri:", "CN:staff-7"])
def test_a_certificate_that_never_comes_is_not_linked(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str], subject: str
) -> None:
    """Our own TLS puts in front which name it is; the refusal shows how."""
    words = ("link", "staff-7", *place, "--issuer", "certificate", "--subject", subject)
    assert main(["principal", *words]) == 1
    assert "uri:spiffe://" in capsys.readouterr().err
    assert shown(capsys, place, "links") == []


def test_what_a_proxy_says_of_a_certificate_is_linked_as_it_is(
    place: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How a peer that ends TLS writes a subject is its own affair."""
    monkeypatch.setenv("SEKISHO_IDENTITY__TRUSTED_PEERS", '["10.0.0.1"]')
    monkeypatch.setenv("SEKISHO_IDENTITY__CERTIFICATE_HEADER", "x-client-subject")
    words = ("--issuer", "certificate", "--subject", "CN=staff-7,O=Corp")
    (row,) = shown(capsys, place, "link", "staff-7", *words)
    assert row["subject"] == "CN=staff-7,O=Corp"


def test_a_header_never_names_a_service_account(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by its id, and not by a link."""
    made = ("key", "create", *place, "--principal", "svc-batch", "--owner", "staff-7")
    assert main([*made]) == 0
    words = ("link", "svc-batch", *place, "--issuer", "header", "--subject", "batch")
    assert main(["principal", *words]) == 1
    assert "service account" in capsys.readouterr().err


def test_a_role_is_lent_and_taken_back(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """For some days from now or from a day; the list shows who stands in for whom."""
    grant(capsys, place, "--roles", "employee,reviewer")
    assert main(["key", "create", *place, "--principal", "staff-8"]) == 0
    capsys.readouterr()
    words = ("staff-7", "--delegate", "staff-8", "--role", "reviewer", "--days", "14")
    (row,) = shown(capsys, place, "lend", *words)
    assert (row["principal"], row["delegate"], row["ended"]) == ("staff-7", "staff-8", None)
    (ended,) = shown(capsys, place, "take-back", row["id"])
    assert ended["ended"]
    assert shown(capsys, place, "delegations") == [ended]
    assert main(["principal", "delegations", *place]) == 0
    assert capsys.readouterr().out.split()[:4] == ["id", "principal", "delegate", "role"]


def test_who_leaves_is_gone_for_good(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The id is not given to anyone again."""
    (row,) = shown(capsys, place, "leave", "staff-7", "--yes")
    assert row["disabled"] is True
    assert row["left"]
    assert main(["key", "create", *place, "--principal", "staff-7"]) == 1
    assert "has left" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Standard input at which a person sits."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "state"), [("staff-7", "left"), ("y", "active"), ("", "active")])
def test_leaving_is_asked_for_twice(
    place: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    state: str,
) -> None:
    """It cannot be undone: the id is typed again, and the question names what can be undone."""
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    assert main(["principal", "leave", "staff-7", *place]) == (state == "active")
    assert "--disable" in capsys.readouterr().err
    assert [row["state"] for row in shown(capsys, place, "list")] == [state]


def test_leaving_without_a_terminal_needs_a_word(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script says --yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("staff-7\n"))
    assert main(["principal", "leave", "staff-7", *place]) == 1
    assert "--yes" in capsys.readouterr().err
    assert [row["state"] for row in shown(capsys, place, "list")] == ["active"]


def test_the_same_is_not_lent_twice(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The delegation there is already is named."""
    grant(capsys, place, "--roles", "employee,reviewer")
    assert main(["key", "create", *place, "--principal", "staff-8"]) == 0
    capsys.readouterr()
    words = ("lend", "staff-7", "--delegate", "staff-8", "--role", "reviewer", "--days")
    (row,) = shown(capsys, place, *words, "14")
    assert main(["principal", *words, "1", *place]) == 1
    assert f"take-back {row['id']}" in capsys.readouterr().err
    assert len(shown(capsys, place, "delegations")) == 1


@pytest.mark.parametrize("days", ["367", "1000000", "-1"])
def test_a_delegation_has_bounds(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str], days: str
) -> None:
    """Told with the bound."""
    grant(capsys, place, "--roles", "reviewer")
    assert main(["key", "create", *place, "--principal", "staff-8"]) == 0
    words = ("staff-7", "--delegate", "staff-8", "--role", "reviewer", f"--days={days}")
    assert main(["principal", "lend", *words, *place]) == 1
    assert "at most 366 days" in capsys.readouterr().err


def test_times_that_the_ledger_cannot_count_are_wrong_usage(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Far dates and numbers that are none."""
    for words in (
        ("grant", "staff-7", "--training-until", "9999-12-31"),
        ("lend", "staff-7", "--delegate", "b", "--role", "reviewer", "--days", "nan"),
        ("lend", "staff-7", "--delegate", "b", "--role", "reviewer", "--days", "1e300"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["principal", *words, *place])
        assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "from 2000 to 2199" in err
    assert "'nan' is no number up to" in err
