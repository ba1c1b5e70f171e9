"""Clients whose gateway stands behind nginx, under a path, with nginx's own timeouts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from support.clients import COMMANDS, Client, Told, put_in_place
from support.installation import Installation
from support.loopback_backend import LoopbackBackend, in_thread
from support.nginx import Nginx
from support.reviewer import REASON, Reviewer

HELD = "Summarise our customer list in one line."
HOP_S = 4.0
IDLE_S = 13  # of nginx, as 60 s are to the 45 s after which the gateway says that it lives
READ_WHOLE = """# METADATA
# title: Look
package packs.team.look

# METADATA
# title: Every answer is read to its end first
obligation contains {"review_response": true}
"""
_marks = itertools.count()


class Site:
    """An installation behind nginx."""

    def __init__(self, made: Installation, backend: LoopbackBackend, front: Nginx) -> None:
        self.made, self.backend, self.front = made, backend, front
        self.key = made.key("staff-7")
        self.reviewer = Reviewer(made.url, made.key("reviewer-1", "reviewers", "reviewer"))

    def text(self) -> tuple[str, str]:
        """What is held, and a mark in it that nothing else has."""
        mark = f"mark{next(_marks)}x"
        return f"{HELD} {mark}", mark

    def sent(self, mark: str) -> int:
        """How many requests with this mark reached the backend."""
        return sum(mark.encode() in seen.body for seen in self.backend.seen)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    put_in_place()
    front = Nginx(tmp_path_factory.mktemp("x"))
    settings = {
        "server": {"public_url": front.url},
        "identity": {"trusted_peers": ["127.0.0.1"]},
        "holds": {"hop_wait_s": HOP_S, "wait_total_s": 120},
    }
    with in_thread() as backend, ExitStack() as stack:
        made = Installation(tmp_path_factory.mktemp("n"), {"*": backend.url}, settings=settings)
        made.write()
        made.start()
        stack.callback(made.stop)
        front.write(made.port)
        stack.enter_context(front)
        yield Site(made, backend, front)


@pytest.fixture(scope="module")
def answers(site: Site) -> dict[str, tuple[Told, str]]:
    """What each client gets that waited for some hops before it was approved, and its mark."""
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(Client(name, f"{site.front.url}/v1", site.key))
            for name in COMMANDS
        }
        ready = [one.start("ask", text="hello", tools=[], stream=False) for one in clients.values()]
        assert [one.result(90).error for one in ready] == [{}] * len(ready)
        asking = {}
        for name, client in clients.items():
            text, mark = site.text()
            asking[name] = (client.start("ask", text=text, tools=[], stream=True), mark)
        for _, mark in asking.values():
            site.reviewer.find(mark)
        time.sleep(1.5 * HOP_S)  # so that there are hops to follow
        for _, mark in asking.values():
            site.reviewer.decide("approve", mark)
        return {name: (told.result(90), mark) for name, (told, mark) in asking.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_redirects_keep_the_path(
    site: Site, answers: dict[str, tuple[Told, str]], name: str
) -> None:
    """Each client follows them to its streamed answer."""
    told, mark = answers[name]

    assert told.error == {}
    assert told.text == "first word word word word "
    assert site.sent(mark) == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_errors_and_links_are_those_of_the_public_address(site: Site, path: str) -> None:
    """Through nginx, status and body are what the gateway said; links lead back through it."""
    text, mark = site.text()
    asked = {"model": "ok", "input": text, "messages": [{"role": "user", "content": text}]}
    del asked["messages" if path.endswith("responses") else "input"]
    headers = {"authorization": f"Bearer {site.key}"}
    with httpx.Client(headers=headers, trust_env=False, timeout=30) as http:
        first = http.post(site.front.url + path, json=asked)
        approval = first.json()["error"]["approval"]

        assert first.status_code == 303
        assert approval["url"].startswith(f"{site.front.url}/approvals/")
        assert approval["result_url"].startswith(site.front.url + path)
        assert http.get(approval["url"]).status_code == 200
        assert http.get(approval["result_url"]).status_code == 428

        site.reviewer.decide("deny", mark)
        denied = http.get(first.url.join(first.headers["location"]), follow_redirects=True)
        error = denied.json()["error"]
    assert (denied.status_code, error["code"]) == (403, "approval_denied")
    assert REASON in error["message"]
    assert site.sent(mark) == 0


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Told], int]]:
    """What each client gets of a streamed answer that takes longer than nginx waits for a byte, and
    is read whole; and how many requests reached the backend.
    """
    put_in_place()
    front = Nginx(tmp_path_factory.mktemp("z"), IDLE_S)
    settings = {
        "server": {"public_url": front.url},
        "identity": {"trusted_peers": ["127.0.0.1"]},
        "holds": {"hop_wait_s": HOP_S, "wait_total_s": 120},
    }
    with in_thread() as backend, ExitStack() as stack:
        backend.chunk_pause_s = 5
        made = Installation(tmp_path_factory.mktemp("w"), {"*": backend.url}, settings=settings)
        made.write()
        made.add_team_rules("look", READ_WHOLE)
        made.start()
        stack.callback(made.stop)
        front.write(made.port)
        stack.enter_context(front)
        key = made.key("staff-7")
        asking = {}
        for name in COMMANDS:
            client = stack.enter_context(Client(name, f"{front.url}/v1", key))
            asking[name] = client.start("ask", text=f"hello {name}", tools=[], stream=True)
        yield {name: told.result(90) for name, told in asking.items()}, len(backend.seen)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_long_answer_that_is_read_whole_reaches_its_client(
    slow: tuple[dict[str, Told], int], name: str
) -> None:
    """The connection is kept alive until it is there, and nobody asks twice."""
    told, sent = slow

    assert told[name].error == {}
    assert told[name].text == "first word word word word "
    assert sent == len(COMMANDS)
