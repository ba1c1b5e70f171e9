"""The pages of break-glass over HTTP: who sees what, and what a form can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest

from sekisho.model.principal import Authentication, Scope
from sekisho.web import break_glass_pages
from sekisho.web.page_routes import HEADERS
from support.break_glass import (
    AUDITOR,
    CHIEF,
    FOR_CHIEF,
    OPERATOR,
    OTHER_RULE,
    REVIEWER,
    RULE,
    WHY,
    Plant,
    needed,
    open_plant,
)
from support.holds import ROBOT, STAFF, Desk
from support.page_site import Browser, http_of
from support.switchboards import running_auditd

PEOPLE = {
    "chief": CHIEF,
    "stale": replace(CHIEF, authentication=Authentication.SESSION, signed_in_us=1),
    "asks": replace(CHIEF, scopes=frozenset({Scope.ASK})),
    "reviewer": REVIEWER,
    "auditor": AUDITOR,
    "operator": OPERATOR,
    "staff": STAFF,
    "robot": ROBOT,
}
EVIL = '<script>alert(1)</script>\u202e " onmouseover="x" http://evil.example/'


class Site(Browser):
    """A browser, and one worker's part in break-glass."""

    def __init__(self, http: httpx.AsyncClient, plant: Plant) -> None:
        super().__init__(http)
        self.plant = plant

    async def opened(self, reason: str = WHY) -> str:
        """The page of what the chief has just opened by form."""
        said = await self.post("chief", "/break-glass", rules=RULE, reason=reason, minutes="5")
        assert said.status_code == 303, said.text
        return said.headers["location"]


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


@pytest.fixture
async def site(desk: Desk, auditd: str) -> AsyncIterator[Site]:
    plant = await open_plant(auditd)
    pages = http_of(break_glass_pages.router, desk, PEOPLE, "/gate", break_glass=plant.desk)
    async with pages as http:
        yield Site(http, plant)
    await plant.tidy()
    await plant.ledger.close()


def local(path: str) -> str:
    """A path as the gateway gets it from the proxy in front of it."""
    return path.removeprefix("/gate")


async def test_one_opens_on_a_page_and_another_reviews_there(site: Site) -> None:
    """Opened, used, ended, reviewed, each by form and answered with a redirect."""
    form = (await site.get("chief", f"/break-glass?rule={RULE}&rule={OTHER_RULE}")).text
    assert f"{RULE}\n{OTHER_RULE}</textarea>" in form
    path = await site.opened()
    assert path.startswith("/gate/break-glass/")
    page = (await site.get("chief", local(path))).text
    assert WHY in page
    assert 'value="end"' in page
    assert 'value="justified"' not in page
    assert await site.plant.glass.answer(FOR_CHIEF, "demo", [needed()])

    ended = await site.post("chief", local(path), act="end")
    assert (ended.status_code, ended.headers["location"]) == (303, path)
    page = (await site.get("chief", local(path))).text
    assert "Another person" in page
    assert "<button" not in page.split("<main", 1)[1]
    listed = (await site.get("auditor", "/break-glass")).text
    assert f'href="{path}"' in listed
    assert "let go on: 1" in listed
    page = (await site.get("auditor", local(path))).text
    assert 'value="justified"' in page
    assert "drawn for review" in page

    said = await site.post("auditor", local(path), act="not_justified", reason="A walk was enough.")
    assert (said.status_code, said.headers["location"]) == (303, "/gate/break-glass?done=true")
    assert "on record" in (await site.get("auditor", "/break-glass?done=true")).text
    assert (await site.get("auditor", local(path))).status_code == 404


async def test_what_somebody_wrote_does_nothing(site: Site) -> None:
    """No tag, no link, hidden characters spelled out; the policy of a page stands."""
    path = local(await site.opened(EVIL))
    page = await site.get("auditor", path)

    assert "<script>alert" not in page.text
    assert 'onmouseover="x"' not in page.text
    assert 'href="http://evil' not in page.text
    assert "\u202e" not in page.text
    assert "U+202E" in page.text
    for name, value in HEADERS.items():
        assert page.headers[name] == value


@pytest.mark.parametrize(
    ("who", "status"), [("staff", 404), ("robot", 404), ("asks", 403), ("operator", 200)]
)
async def test_who_may_not_see_it_sees_nothing(site: Site, who: str, status: int) -> None:
    """Neither in the list nor by its id; one that never was answers alike."""
    path = local(await site.opened())
    page, absent = await site.get(who, path), await site.get(who, "/break-glass/none")
    listed = await site.get(who, "/break-glass")

    assert page.status_code == status
    assert (WHY in page.text) == (path in listed.text) == (status == 200)
    if status != 200:
        assert page.text.replace(path, "/break-glass/none") == absent.text
        assert (await site.post(who, path, act="end")).status_code == status


async def test_an_operator_ends_it_and_reviews_nothing(site: Site) -> None:
    path = local(await site.opened())
    assert 'value="end"' in (await site.get("operator", path)).text
    assert "<button" not in (await site.get("auditor", path)).text.split("<main", 1)[1]
    assert (await site.post("operator", path, act="end")).status_code == 303

    assert "by an operator" in (await site.get("auditor", path)).text
    for who in ("operator", "chief"):
        said = await site.post(who, path, act="justified", reason="It was.")
        assert said.status_code == 403
        assert 'role="alert"' in said.text
    [standing] = await site.plant.desk.listed(AUDITOR)
    assert path.endswith(standing.id)


@pytest.mark.parametrize(
    ("who", "fields", "status", "code"),
    [
        ("chief", {"minutes": "61"}, 400, "invalid_request"),
        ("chief", {"minutes": "five"}, 400, "invalid_request"),
        ("chief", {"minutes": "٥"}, 400, "invalid_request"),
        ("chief", {"rules": " \n"}, 400, "invalid_request"),
        ("chief", {"rules": "no.such"}, 400, "invalid_request"),
        ("chief", {"reason": " "}, 400, "invalid_request"),
        ("stale", {}, 403, "sign_in_again"),
        ("reviewer", {}, 403, "role_missing"),
    ],
)
async def test_a_fault_is_told_above_and_what_was_written_stays(
    site: Site, who: str, fields: dict[str, str], status: int, code: str
) -> None:
    """Nothing is open then."""
    written = {"rules": RULE, "reason": "kept words", "minutes": "5", **fields}
    page = await site.post(who, "/break-glass", **written)

    assert page.status_code == status
    assert 'role="alert"' in page.text
    assert f"({code})" in page.text
    shows_form = who != "reviewer" and "reason" not in fields
    assert ("kept words" in page.text) == shows_form
    assert await site.plant.desk.listed(AUDITOR) == []


async def test_a_verdict_needs_a_reason_and_an_opening_that_is_over(site: Site) -> None:
    path = local(await site.opened())
    early = await site.post("auditor", path, act="justified", reason="kept words")
    assert (early.status_code, "(break_glass_open)" in early.text) == (409, True)
    await site.post("chief", path, act="end")
    for fields in ({"act": "justified", "reason": ""}, {"act": "fine", "reason": "kept words"}):
        page = await site.post("auditor", path, **fields)
        assert page.status_code == 400
        assert 'role="alert"' in page.text
    assert "kept words" in page.text


async def test_a_form_of_another_site_opens_and_ends_nothing(site: Site) -> None:
    """Also with the session of whoever may."""
    foreign, said = {"sec-fetch-site": "cross-site"}, {"rules": RULE, "reason": WHY}
    assert (await site.post("chief", "/break-glass", foreign, **said)).status_code == 403
    assert await site.plant.desk.listed(AUDITOR) == []
    path = local(await site.opened())
    assert (await site.post("chief", path, foreign, act="end")).status_code == 403
    [standing] = await site.plant.desk.listed(AUDITOR)
    assert standing.ended == ""


@pytest.mark.parametrize("path", ["/break-glass", "/break-glass/b-1"])
async def test_who_is_not_signed_in_signs_in_and_comes_back(site: Site, path: str) -> None:
    answer = await site.get("", path)

    back = f"/gate{path}".replace("/", "%2F")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/gate/login?return_to={back}",
    )


async def test_the_alarm_leads_there_for_who_may_see_it(site: Site) -> None:
    """Everybody is told; who sees more finds the way."""
    await site.opened()
    alarm = (await site.get("auditor", "/break-glass")).text.split('class="alarm"', 1)[1]
    assert 'href="/gate/break-glass"' in alarm.split("</p>", 1)[0]
    assert 'class="alarm"' not in (await site.get("asks", "/break-glass")).text


@pytest.mark.parametrize(("language", "title"), [("zh", "紧急放行"), ("ja", "緊急開放")])
async def test_pages_speak_three_languages(site: Site, language: str, title: str) -> None:
    path = local(await site.opened())
    for wanted in ("/break-glass", path):
        page = await site.get("chief", wanted, **{"accept-language": language})
        assert title in page.text


async def test_where_there_is_none_there_is_none(desk: Desk) -> None:
    """A gateway without a desk says so."""
    async with http_of(break_glass_pages.router, desk, PEOPLE) as http:
        assert (await Browser(http).get("auditor", "/break-glass")).status_code == 404
