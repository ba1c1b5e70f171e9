from __future__ import annotations

import pytest

from sekisho.web.session_cookie import LOGIN, cookie_name, read_cookie, set_cookie

SECURE = "https://gateway.example"
PLAIN = "http://127.0.0.1:8080"


def test_with_https_no_other_host_can_set_it() -> None:
    """`__Host-` has conditions that browsers enforce; the cookie meets them."""
    cookie = set_cookie(SECURE, "abc")

    assert cookie_name(SECURE) == "__Host-sekisho"
    assert cookie == "__Host-sekisho=abc; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert "Domain" not in cookie


def test_without_https_it_still_works() -> None:
    """On one machine there is nobody in between."""
    assert set_cookie(PLAIN, "abc") == "sekisho=abc; Path=/; HttpOnly; SameSite=Lax"


def test_a_cookie_is_taken_away_by_its_own_name() -> None:
    """Session and sign-in under way are two cookies."""
    assert set_cookie(PLAIN, "", kind=LOGIN, age_s=0).startswith("sekisho-login=; ")
    assert set_cookie(PLAIN, "", age_s=0).endswith("; Max-Age=0")


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (["sekisho=abc"], "abc"),
        (["a=b; sekisho=abc; c=d"], "abc"),
        (["a=b", "sekisho=abc"], "abc"),
        (["sekisho=a=b"], "a=b"),
        (["sekisho=abc; sekisho=abc"], "abc"),
        ([], ""),
        ([""], ""),
        ([";;=;sekisho"], ""),
        (["xsekisho=abc; sekishox=abc; Sekisho=abc; __Host-sekisho=abc"], ""),
        (["sekisho-login=abc"], ""),
    ],
)
def test_the_value_is_found(headers: list[str], value: str) -> None:
    """Among others, by its exact name."""
    assert read_cookie(headers, "sekisho") == value


@pytest.mark.parametrize("headers", [["sekisho=mine; sekisho=theirs"], ["sekisho=a", "sekisho=b"]])
def test_two_of_one_name_are_none(headers: list[str]) -> None:
    """Which of them a neighbouring host has put there cannot be told."""
    assert read_cookie(headers, "sekisho") == ""
