"""A whole installation tells people at least once, whatever is killed, and keeps its secrets."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from support.chat_site import KEY, TOKEN, ChatSite, Told, chat_site
from support.installation import Installation
from support.loopback_backend import LoopbackBackend
from support.rules import give_modes

CHANNELS = """
[notify]
deadline_s = 2

[[notify.channels]]
name = "program"
kind = "webhook"
url_env = "TEST_PROGRAM_URL"
secret_env = "TEST_PROGRAM_KEY"
groups = ["reviewer"]
per_minute_max = 6000

[[notify.channels]]
name = "chat"
kind = "wecom"
url_env = "TEST_CHAT_URL"
requesters = ["employees"]
language = "zh"
"""
RULES = """# METADATA
# title: Requests of a certain length are told to somebody
package packs.team.telling

# METADATA
# title: Told
obligation contains {"notify": ["program"]} if input.request.max_tokens == 78

# METADATA
# title: Told over a channel that is not there
obligation contains {"notify": ["pager"]} if input.request.max_tokens == 79
"""
pytestmark = pytest.mark.long
WAIT_S = 60.0  # a busy machine; an idle one takes a second, or ten where a lease runs out


@pytest.fixture(autouse=True)
def _ready_and_quiet() -> None:
    """Nothing: these tests have an installation of their own."""


@pytest.fixture(scope="module")
def chats() -> Iterator[ChatSite]:
    with chat_site() as site:
        yield site


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackBackend, chats: ChatSite
) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("n"), {"*": scripted.url})
    installation.write()
    installation.config.write_text(installation.config.read_text() + CHANNELS)
    pack = installation.folder / "policies" / "packs" / "team"
    pack.mkdir()
    (pack / "telling.rego").write_text(RULES)
    give_modes(installation.folder / "policies")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEST_PROGRAM_URL", f"{chats.address('webhook')}?k={TOKEN}")
        patched.setenv("TEST_PROGRAM_KEY", KEY)
        patched.setenv("TEST_CHAT_URL", chats.address("wecom"))
        installation.start()
        yield installation
        assert installation.stop() == 0
        verified = installation.verify()
    assert verified.returncode == 0, verified.stdout


def ask(gateway: Installation, key: str, text: str, max_tokens: int = 20) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json={
            "model": "ok",
            "messages": [{"role": "user", "content": text}],
            "max_tokens": max_tokens,
        },
        timeout=20,
        trust_env=False,
    )


def about(chats: ChatSite, name: str, value: str) -> list[Told]:
    """What the program was told in which this stands."""
    return [one for one in chats.of("webhook") if one.raw.get(name) == value]


def soon(done: Callable[[], object]) -> None:
    until = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_message_survives_the_death_of_everything(gateway: Installation, chats: ChatSite) -> None:
    """Filed while nobody answers at the other end; workers, Valkey and auditd are killed, and it
    arrives, with one id. Whoever asked hears how it ended. No secret is in log or ledger.
    """
    key, reviewer = gateway.key("staff-7"), gateway.key("reviewer-1", roles="employee,reviewer")
    chats.down.add("webhook")
    held = ask(gateway, key, "customer list canary-4471")
    assert held.status_code == httpx.codes.SEE_OTHER
    hold = held.json()["error"]["approval"]["id"]
    tried = len(chats.seen)
    soon(lambda: len(chats.seen) > tried)
    assert ask(gateway, key, "hello").status_code == httpx.codes.OK
    for part in ("sekisho.worker", "valkey-server", "sekisho_audit.auditd"):
        for pid in gateway.pids(part):
            os.kill(pid, signal.SIGKILL)
    gateway.wait_ready()
    chats.down.clear()
    soon(lambda: about(chats, "hold", hold))
    told = about(chats, "hold", hold)
    assert len({one.id for one in told}) == 1
    assert told[0].links[0][1] == f"{gateway.url}/approvals/{hold}"

    def denied() -> bool:
        """Right after a crash a busy machine may answer that it cannot yet: then again."""
        deny = ("hold", "deny", hold, "--reason", "canary-reason")
        gateway.run(*deny, key=reviewer, check=False)
        return bool(chats.of("wecom"))

    soon(denied)
    assert {"\u5df2\u62d2\u7edd" in one.text for one in chats.of("wecom")} == {True}
    everything = repr(chats.told)
    for content in ("canary", "staff-7", "reviewer-1"):
        assert content not in everything
    kept = gateway.log.read_text() + repr(gateway.leaves())
    assert TOKEN not in kept
    assert KEY not in kept


def test_what_a_rule_wants_told_is_told_and_what_cannot_be_is_refused(
    gateway: Installation, chats: ChatSite
) -> None:
    """Through the real engine; and the channel being down refuses nothing."""
    key = gateway.key("staff-8")
    chats.down.add("webhook")
    assert ask(gateway, key, "hello", 78).status_code == httpx.codes.OK
    refused = ask(gateway, key, "hello", 79)
    assert refused.status_code == httpx.codes.FORBIDDEN
    assert "notify" in refused.json()["error"]["message"]
    chats.down.clear()
    soon(lambda: about(chats, "moment", "decided"))
    assert {one.raw["state"] for one in about(chats, "moment", "decided")} == {"allow"}
    soon(lambda: b"sekisho_notifications_total" in _metrics(gateway))


def _metrics(gateway: Installation) -> bytes:
    return httpx.get(f"{gateway.url}/metrics", timeout=5, trust_env=False).content
