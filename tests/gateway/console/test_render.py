from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from sekisho.console.render import page, short, stamp
from sekisho.model.principal import Principal, Role
from sekisho.web.language import SPOKEN

EVIL = "\"><script>alert(1)</script>'&"


def test_values_are_escaped_and_the_base_path_stands_before_links() -> None:
    """In text and attributes."""
    made = page(
        "sign_in.html", "en", "/llm", issuers=[EVIL], return_to=EVIL, fault=EVIL, reader=None
    )

    assert "<script>alert" not in made
    assert 'action="/llm/login"' in made
    assert 'href="/llm/static/page-' in made


def test_every_issuer_has_a_button_that_keeps_where_one_wanted_to_go() -> None:
    """And the form does so too; the field for the key has a label and remembers nothing."""
    back = "/approvals/h-1?a=1&b=2"
    made = page("sign_in.html", "en", "", issuers=["corp"], return_to=back, fault="", reader=None)

    assert 'href="/login/corp?return_to=%2Fapprovals%2Fh-1%3Fa%3D1%26b%3D2"' in made
    assert f'name="return_to" value="{back.replace("&", "&amp;")}"' in made
    assert '<label for="key">' in made
    assert re.search(r'<input id="key"[^>]*type="password"[^>]*autocomplete="off"', made)
    assert 'role="alert"' not in made


def test_who_is_signed_in_is_told_so_with_the_way_out() -> None:
    """Roles, what there is to see, and names as text."""
    evil = Principal(EVIL, frozenset({Role.EMPLOYEE, Role.REVIEWER}), frozenset())
    made = page("signed_in.html", "en", "", reader=evil)

    assert "employee, reviewer" in made
    assert "<script>alert" not in made
    links = ["/approvals", "/drafts", "/v1/exchanges", "/v1/me"]
    assert re.findall(r'<li><a href="([^"]*)"', made) == links
    assert 'action="/logout"' in made


@pytest.mark.parametrize("language", SPOKEN)
def test_every_page_names_its_origin_for_its_own_forms(language: str) -> None:
    """Without that a browser that sends no `Sec-Fetch-Site` sends `Origin: null`; and a phone is
    told its width.
    """
    made = page("home.html", language, "", public_url="https://gate.example", reader=None)
    assert '<meta name="referrer" content="same-origin">' in made
    assert '<meta name="viewport"' in made
    assert "https://gate.example/v1" in made


def test_a_value_that_is_missing_is_a_fault() -> None:
    """Not an empty place in a page."""
    with pytest.raises(UndefinedError):
        page("sign_in.html", "en", "", reader=None)


def test_times_are_in_utc_for_people_and_scripts() -> None:
    """To the minute, and to the second."""
    assert '<time datetime="2026-11-28T18:45:07Z">2026-11-28 18:45 UTC</time>' == stamp(1795891507)


def test_a_digest_is_cut_where_two_are_told_apart() -> None:
    """A short one stays."""
    assert "sha256:0123456789ab…" == short("sha256:0123456789abcdef")
    assert "sha256:0" == short("sha256:0")
