"""Messages reach each chat system on loopback, which checks them as the real one does."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sekisho.adapters.http_channel import ANSWER_BYTES_MAX, HttpChannel, Target, fault_of
from sekisho.adapters.webhook_signature import read_key
from sekisho.model.notification import Moment, Notification, NotSent
from support.authority import Authority
from support.chat_site import KEY, KEY_BEFORE, SECRET, TOKEN, ChatSite, chat_site
from support.holds import SystemClock
from support.tls_site import tls_site

KINDS = ["webhook", "slack", "teams", "feishu", "dingtalk", "wecom"]
HOLD = "hold_" + "0a" * 16
PAGE = f"https://gate.example/approvals/{HOLD}"
TOLD = Notification(
    "id-1",
    "c",
    Moment.FILED,
    rules=("packs.finance.payments",),
    stage="tool_call",
    risk=60,
    hold=HOLD,
    expires_us=time.time_ns() // 1000 + 1_800_000_000,
)


@pytest.fixture(scope="module")
def chats() -> Iterator[ChatSite]:
    with chat_site() as site:
        yield site


@pytest.fixture
def site(chats: ChatSite) -> ChatSite:
    chats.told.clear()
    chats.seen.clear()
    chats.ahead.clear()
    return chats


def channel(site: ChatSite, kind: str, *, deadline_s: float = 5, **changes: object) -> HttpChannel:
    told: dict[str, object] = {
        "kind": kind,
        "url": site.address(kind),
        "secret": SECRET if kind in {"feishu", "dingtalk"} else "",
        "keys": (read_key(KEY),) if kind == "webhook" else (),
        **changes,
    }
    return HttpChannel(Target(**told), SystemClock(), "https://gate.example", deadline_s)  # type: ignore[arg-type]


@pytest.fixture
async def opened() -> AsyncIterator[list[HttpChannel]]:
    """Whatever a test opens is closed."""
    several: list[HttpChannel] = []
    yield several
    for one in several:
        await one.close()


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_takes_it_and_links_to_the_page_alone(
    site: ChatSite, opened: list[HttpChannel], kind: str, language: str
) -> None:
    """Signature, members and sizes are right, and people find the rule and one link."""
    opened.append(channel(site, kind, language=language))
    await opened[0].send(TOLD)
    [told] = site.of(kind)
    assert [url for _, url in told.links] == [PAGE]
    assert "packs.finance.payments" in told.text


@pytest.mark.parametrize("kind", ["feishu", "dingtalk"])
async def test_a_wrong_secret_is_a_failure_under_200(
    site: ChatSite, opened: list[HttpChannel], kind: str
) -> None:
    """The robot says so in the body only."""
    opened.append(channel(site, kind, secret="other"))
    with pytest.raises(NotSent, match="code_"):
        await opened[0].send(TOLD)
    assert not site.told


async def test_while_keys_change_a_receiver_with_either_takes_it(
    site: ChatSite, opened: list[HttpChannel]
) -> None:
    """Two keys sign; one that knows neither refuses."""
    opened.append(channel(site, "webhook", keys=(read_key(KEY), read_key(KEY_BEFORE))))
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for keys in ((KEY,), (KEY_BEFORE,)):
        site.keys = keys
        await opened[0].send(TOLD)
    site.keys = (other,)
    with pytest.raises(NotSent, match="status_401"):
        await opened[0].send(TOLD)
    site.keys = (KEY,)
    assert [one.id for one in site.told] == ["id-1", "id-1"]


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        ("500", "status_500"),
        ("404", "status_404"),
        ("redirect", "status_307"),
        ("long", "answer_too_long"),
        ("packed", "not_ok"),
        ("drop", "no_answer"),
        ("hang", "timeout"),
    ],
)
async def test_trouble_is_told_and_quotes_nothing(
    site: ChatSite, opened: list[HttpChannel], trouble: str, cause: str
) -> None:
    """Every way of not answering is a failure; the address is in none of what is said."""
    site.ahead["slack"] = [trouble]
    url = site.address("slack") + "?" + TOKEN
    opened.append(channel(site, "slack", deadline_s=0.5, url=url))
    with pytest.raises(NotSent) as failed:
        await opened[0].send(TOLD)
    assert failed.value.cause == cause
    chain = [failed.value, failed.value.__cause__, failed.value.__suppress_context__]
    assert TOKEN not in repr(chain)
    assert TOKEN not in repr(Target("slack", url, secret=TOKEN, keys=(b"k",)))


async def test_a_redirect_is_not_followed(site: ChatSite, opened: list[HttpChannel]) -> None:
    """Whoever answers there must not choose where we go next."""
    site.ahead["slack"] = ["redirect"]
    opened.append(channel(site, "slack"))
    with pytest.raises(NotSent):
        await opened[0].send(TOLD)
    assert site.seen == ["slack"]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_way_of_saying_too_fast_is_understood(
    site: ChatSite, opened: list[HttpChannel], kind: str
) -> None:
    """Three say 429, three a code under 200."""
    site.ahead[kind] = ["busy"]
    opened.append(channel(site, kind))
    with pytest.raises(NotSent) as failed:
        await opened[0].send(TOLD)
    assert failed.value.cause == "rate_limited"
    assert failed.value.retry_after_s in {1.0, None}
    await opened[0].send(TOLD)


async def test_nobody_there_is_told_as_such(opened: list[HttpChannel]) -> None:
    """The port is closed."""
    target = Target("slack", "http://127.0.0.1:9/x")
    opened.append(HttpChannel(target, SystemClock(), "https://gate.example", 2))
    with pytest.raises(NotSent, match="unreachable"):
        await opened[0].send(TOLD)


async def test_a_certificate_nobody_vouches_for_ends_it(
    tmp_path: Path, opened: list[HttpChannel]
) -> None:
    """With the authority named it gets as far as an answer, without it nothing is sent."""
    authority = Authority(tmp_path)
    with tls_site(authority.server(), {}) as port:
        url = f"https://127.0.0.1:{port}/hook"
        for ca_file, cause in ((None, "untrusted_certificate"), (authority.pem, "status_501")):
            opened.append(
                HttpChannel(Target("slack", url, ca_file=ca_file), SystemClock(), "https://g", 5)
            )
            with pytest.raises(NotSent, match=cause):
                await opened[-1].send(TOLD)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://hooks.slack.com/services/T/B/x", True),
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://[::1]/x", True),
        ("http://chat.corp.example/x", True),
        ("http://169.254.169.254/latest", False),
        ("http://elsewhere.example/x", False),
        ("https://user:pass@hooks.example/x", False),
        ("https://hooks.example/x#y", False),
        ("https:///x", False),
        ("https://hooks.example:0/x", False),
        ("https://[::1/x", False),
        ("file:///etc/passwd", False),
        ("gopher://127.0.0.1/x", False),
        ("https://hooks.example/a b", False),
        ("https://hooks.example/\r\nx: y", False),
        ("https://hooks.example/" + "x" * 3000, False),
        ("", False),
    ],
)
def test_where_messages_may_go(url: str, *, fine: bool) -> None:
    """Over TLS anywhere an operator says; without, to this machine and to named hosts."""
    said = fault_of(url, ["Chat.Corp.example"])
    assert (said == "") is fine
    assert not url or url not in said


def test_an_answer_is_read_up_to_a_limit() -> None:
    """Far above what any of them says, far below what would hurt."""
    assert ANSWER_BYTES_MAX < 100_000
