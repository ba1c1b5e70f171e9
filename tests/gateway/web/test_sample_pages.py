"""The pages of samples over HTTP: who sees what, what a form can do, and that content is inert."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import orjson
import pytest

from sekisho.web import sample_pages
from sekisho.web.page_routes import HEADERS
from support.holds import STAFF, Desk
from support.page_site import Browser, http_of
from support.samples import AUDITOR, ONE, THREE, TWO, Table, open_table
from support.switchboards import running_auditd
from support.valkey import Valkey

PEOPLE = {"one": ONE, "two": TWO, "three": THREE, "staff": STAFF, "auditor": AUDITOR}
BAD = orjson.dumps(
    {
        "choices": [
            {
                "finish_reason": "stop",
                "message": {"content": "<script>alert(1)</script>\u202e http://evil.example/x"},
            }
        ]
    }
)


class Site(Browser):
    """A browser, and the table where samples are drawn."""

    def __init__(self, http: httpx.AsyncClient, table: Table) -> None:
        super().__init__(http)
        self.table = table


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


@pytest.fixture
async def browser(desk: Desk, auditd: str, valkey: Valkey) -> AsyncIterator[Site]:
    table = await open_table(auditd, valkey.url)
    async with http_of(sample_pages.router, desk, PEOPLE, samples=table.desk) as http:
        yield Site(http, table)
    await table.close()


async def drawn(browser: Site) -> str:
    """The page of a sample."""
    return f"/samples/{(await browser.table.sample()).id}"


async def test_a_sample_is_read_and_judged_on_pages(browser: Site) -> None:
    """Listed, opened, judged by form, answered with a redirect; then it waits for others only."""
    path = await drawn(browser)
    listed = await browser.get("one", "/samples")
    assert f'href="{path}"' in listed.text
    page = await browser.get("one", path)
    assert page.status_code == 200
    assert "hello" in page.text
    assert 'value="fine"' in page.text

    said = await browser.post("one", path, act="fine", reason="")
    assert (said.status_code, said.headers["location"]) == (303, "/samples?done=true")
    listed = await browser.get("one", "/samples?done=true")
    assert f'href="{path}"' not in listed.text
    assert "on record" in listed.text
    assert f'href="{path}"' in (await browser.get("two", "/samples")).text


async def test_a_page_tells_what_others_found_only_afterwards(browser: Site) -> None:
    path = await drawn(browser)
    await browser.get("one", path)
    await browser.post("one", path, act="concern", reason="a name")
    assert "reviewer-1" not in (await browser.get("two", path)).text.split("<main", 1)[1]
    await browser.post("two", path, act="fine")
    page = (await browser.get("two", path)).text
    assert "reviewer-1" in page.split("<main", 1)[1]
    assert 'value="fine"' not in page
    assert "reviewer-1" not in (await browser.get("three", path)).text.split("<main", 1)[1]


async def test_what_a_model_wrote_does_nothing(browser: Site) -> None:
    """No tag, no link, hidden characters spelled out; the policy of a page stands."""
    browser.table.line.backend.parts = (BAD,)
    path = await drawn(browser)
    page = await browser.get("one", path)

    assert "<script>alert" not in page.text
    assert 'href="http://evil' not in page.text
    assert "\u202e" not in page.text
    assert "U+202E" in page.text
    assert "Hidden characters: 1" in page.text
    for name, value in HEADERS.items():
        assert page.headers[name] == value


@pytest.mark.parametrize("who", ["staff", "auditor"])
async def test_nobody_else_comes_in(browser: Site, who: str) -> None:
    """Neither to the list nor to what they asked themselves."""
    path = await drawn(browser)
    for wanted in ("/samples", path, "/samples/none"):
        answer = await browser.get(who, wanted)
        assert answer.status_code == 403
        assert "hello" not in answer.text
    assert (await browser.post(who, path, act="fine")).status_code == 403


async def test_ones_own_is_not_there(browser: Site) -> None:
    """A reviewer who asked it cannot tell it from one that never was."""
    own = await browser.table.sample(ONE)
    page = await browser.get("one", f"/samples/{own.id}")
    absent = await browser.get("one", "/samples/none")

    assert (page.status_code, absent.status_code) == (404, 404)
    assert page.text.replace(own.id, "none") == absent.text


@pytest.mark.parametrize("path", ["/samples", "/samples/s-1"])
async def test_who_is_not_signed_in_signs_in_and_comes_back(browser: Site, path: str) -> None:
    answer = await browser.get("", path)

    back = path.replace("/", "%2F")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?return_to={back}")


async def test_a_fault_is_told_above_the_sample(browser: Site) -> None:
    """A concern without a reason, a verdict that is none: what was written is still there."""
    path = await drawn(browser)
    await browser.get("one", path)
    for fields in ({"act": "concern", "reason": " "}, {"act": "maybe", "reason": "kept words"}):
        page = await browser.post("one", path, **fields)
        assert page.status_code == 400
        assert 'role="alert"' in page.text
    assert "kept words" in page.text


async def test_a_form_of_another_site_judges_nothing(browser: Site) -> None:
    """Also with the session of a reviewer."""
    path = await drawn(browser)
    await browser.get("one", path)
    said = await browser.post("one", path, {"sec-fetch-site": "cross-site"}, act="fine")

    assert said.status_code == 403
    [sample] = [one for one in await browser.table.standing() if path.endswith(one.id)]
    assert sample.verdicts == ()


@pytest.mark.parametrize(("language", "title"), [("zh", "事后复核"), ("ja", "事後確認")])
async def test_pages_speak_three_languages(browser: Site, language: str, title: str) -> None:
    path = await drawn(browser)
    for wanted in ("/samples", path):
        page = await browser.get("one", wanted, **{"accept-language": language})
        assert title in page.text
