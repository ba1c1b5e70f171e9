from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from sekisho.model.principal import Principal, Role
from sekisho.web import sign_in_page

EVIL = "\"><script>alert(1)</script>'&"


class Outline(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


PAGES = [
    sign_in_page.sign_in(["corp", EVIL], EVIL, EVIL),
    sign_in_page.signed_in(Principal(EVIL, frozenset({Role.REVIEWER}), frozenset())),
    sign_in_page.failed(EVIL, EVIL),
    sign_in_page.home(EVIL),
]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_from_outside_becomes_markup(page: str) -> None:
    """Names, messages and paths are text wherever they stand."""
    outline = Outline(page)

    assert not outline.of("script")
    assert "<script" not in page
    assert {tag for tag, _ in outline.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "p", "strong", "small"),
        *("br", "a", "form", "input", "label", "button"),
    }
    assert not [name for _, attributes in outline.tags for name in attributes if name[:2] == "on"]


@pytest.mark.parametrize("page", PAGES)
def test_the_policy_names_the_one_style_sheet(page: str) -> None:
    """And allows nothing else but our own forms."""
    policy = sign_in_page.HEADERS["content-security-policy"]
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()

    assert len(style) == 1
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    for part in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"):
        assert part in policy
    assert "url(" not in style[0]
    assert "@import" not in style[0]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_on_a_phone_and_sends_its_origin(page: str) -> None:
    """Without the second meta a browser that sends no `Sec-Fetch-Site` sends `Origin: null`."""
    metas = Outline(page).of("meta")

    assert {"name": "referrer", "content": "same-origin"} in metas
    assert any(meta.get("name") == "viewport" for meta in metas)


def test_every_issuer_has_a_button_that_keeps_where_one_wanted_to_go() -> None:
    """And the form does so too."""
    outline = Outline(sign_in_page.sign_in(["corp", "other"], "/approvals/h-1?a=1&b=2"))

    links = [link["href"] for link in outline.of("a")]
    assert links == [
        "/login/corp?return_to=%2Fapprovals%2Fh-1%3Fa%3D1%26b%3D2",
        "/login/other?return_to=%2Fapprovals%2Fh-1%3Fa%3D1%26b%3D2",
    ]
    (hidden, key) = outline.of("input")
    assert hidden["value"] == "/approvals/h-1?a=1&b=2"
    assert (key["type"], key["autocomplete"]) == ("password", "off")


def test_the_fields_have_labels() -> None:
    """For people who hear the page."""
    outline = Outline(sign_in_page.sign_in([], "/", "wrong"))

    assert outline.of("label")[0]["for"] == outline.of("input")[1]["id"] == "key"
    assert outline.of("p")[0]["role"] == "alert"
    assert outline.of("html")[0]["lang"] == "en"


def test_without_a_fault_nothing_is_shown_of_one() -> None:
    """The first look is not red."""
    assert not Outline(sign_in_page.sign_in(["corp"], "/")).of("p")


def test_signed_in_tells_who_and_how_to_leave() -> None:
    """With the roles one has."""
    page = sign_in_page.signed_in(
        Principal("staff-7", frozenset({Role.EMPLOYEE, Role.REVIEWER}), frozenset())
    )

    assert "staff-7" in page
    assert "employee, reviewer" in page
    assert Outline(page).of("form")[0]["action"] == "/logout"


@pytest.mark.parametrize("roles", [(), (Role.REVIEWER,)])
def test_signed_in_leads_to_what_there_is_to_see(roles: tuple[Role, ...]) -> None:
    """One's own history, who one is, and for reviewers what waits for them."""
    page = sign_in_page.signed_in(Principal("staff-7", frozenset(roles), frozenset()))
    own = ["/v1/exchanges", "/v1/me"]
    assert [link["href"] for link in Outline(page).of("a")] == [
        *(["/v1/approvals"] if roles else []),
        *own,
    ]


def test_the_first_page_says_what_to_put_into_a_program() -> None:
    """And where people sign in."""
    page = sign_in_page.home("https://gate.example")
    assert "https://gate.example/v1" in page
    assert [link["href"] for link in Outline(page).of("a")] == ["/login", "/openapi.json"]
