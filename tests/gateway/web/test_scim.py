"""Who gets to the SCIM endpoint, what it bounds, and what it says when something goes wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from scim2_models import PreconditionFailedException

from sekisho.adapters import scim_storage
from sekisho.web.scim import ScimLimits
from support.scim import Scim
from support.scim_server import WAIT_S, ScimServer

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
NOBODY = "0" * 32
LIMITS = ScimLimits(body_bytes_max=20_000, body_timeout_s=0.5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer(Scim(tmp_path_factory.mktemp("scim")), LIMITS) as running:
        yield running


@pytest.fixture
def directory(server: ScimServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def _error(answer: httpx.Response, status: int, scim_type: str | None = None) -> str:
    """The detail of a SCIM error."""
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert said["status"] == str(status)
    assert said.get("scimType") == scim_type
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("application/scim+json")
    return str(said["detail"])


def test_a_user_is_made_and_found(directory: httpx.Client) -> None:
    """Its location is under the public address, its version in the ETag."""
    made = directory.post("/Users", json={"schemas": [USER], "userName": "staff-1"})

    assert made.status_code == 201
    assert made.headers["location"].startswith(str(directory.base_url))
    found = directory.get(made.headers["location"])
    assert found.headers["etag"] == made.headers["etag"]
    assert found.headers["cache-control"] == "no-store"


def test_links_do_not_come_from_the_host_header(directory: httpx.Client) -> None:
    """A stranger's name in an answer would send the next request there."""
    answer = directory.get("/ServiceProviderConfig", headers={"host": "evil.example"})
    assert "evil.example" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("path", ["/Users", "/Schemas", "/ServiceProviderConfig", "/x", ""])
def test_nobody_gets_in_without_a_key(server: ScimServer, path: str) -> None:
    """Neither to the discovery pages, nor to learn which paths there are."""
    for key in ("", "sk-sekisho-aaaaaaaa-" + "a" * 43):
        with server.client(key) as client:
            answer = client.get(path)
        _error(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_without_the_scope_does_not_provision(server: ScimServer) -> None:
    """Not even the operator's: the scope is given by name, to the key of a directory."""
    for key in server.other_keys:
        with server.client(key) as client:
            assert "--scopes scim" in _error(client.get("/Users"), 403)


def test_bulk_and_me_are_not_offered(directory: httpx.Client) -> None:
    """They are not announced either."""
    _error(directory.post("/Bulk", json={}), 501)
    _error(directory.get("/Me"), 501)


def test_a_large_body_is_refused(directory: httpx.Client) -> None:
    """Whether it says its length or not."""
    large = b'{"userName":"' + b"x" * 20_000 + b'"}'
    _error(directory.post("/Users", content=large), 413)
    _error(directory.post("/Users", content=iter([large])), 413)


def _first_bytes(server: ScimServer, length: int) -> bytes:
    """What is answered to a body of that length of which one byte came."""
    host, port = server.url.removeprefix("http://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), WAIT_S) as connection:
        head = (
            f"POST /scim/v2/Groups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n"
            f"content-length: {length}\r\n\r\n{{"
        )
        connection.sendall(head.encode())
        return connection.recv(4096)


def test_a_hundred_thousand_members_are_refused(server: ScimServer) -> None:
    """Before anybody reads them."""
    members = [{"value": "0" * 32}] * 100_000
    body = json.dumps({"schemas": [GROUP], "displayName": "all", "members": members})
    assert b" 413 " in _first_bytes(server, len(body))


def test_a_slow_body_is_given_up(server: ScimServer) -> None:
    """Nobody keeps a place by sending nothing."""
    assert b" 408 " in _first_bytes(server, 10)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"userName":"a","userName":"b"}',
        b'{"userName":"a\\u0000"}',
        b'{"userName":"\\ud800"}',
        b"[" * 5_000,
        b'{"a":' * 11 + b"1" + b"}" * 11,
        b'{"userName":NaN}',
    ],
    ids=["empty", "cut", "twice", "nul", "surrogate", "open", "deep", "nan"],
)
def test_what_parsers_read_differently_is_refused(directory: httpx.Client, body: bytes) -> None:
    """Duplicate keys, lone surrogates, nesting, and what is no JSON at all."""
    _error(directory.post("/Users", content=body), 400, "invalidSyntax")


_GIANT = (
    " and ".join(['userName eq "a"'] * 100),
    "(" * 400 + 'userName eq "a"' + ")" * 400 + " " * 300,
    'userName eq "' + "a" * 2_000 + '"',
)


@pytest.mark.parametrize("asked", _GIANT, ids=["long", "nested", "text"])
def test_a_giant_filter_is_refused(directory: httpx.Client, asked: str) -> None:
    """In the query, in a search, and in the path of a PATCH."""
    _error(directory.get("/Users", params={"filter": asked}), 400, "invalidFilter")
    search = {"schemas": [SEARCH], "filter": asked}
    _error(directory.post("/Users/.search", json=search), 400, "invalidFilter")
    operation = {"op": "remove", "path": f"members[{asked}]"}
    patch = {"schemas": [PATCH], "Operations": [operation]}
    _error(directory.patch("/Groups/x", json=patch), 400, "invalidValue")


def test_a_deeply_nested_filter_is_refused(directory: httpx.Client) -> None:
    """A short one can still nest."""
    asked = "not (" * 100 + 'userName eq "a"' + ")" * 100
    _error(directory.get("/Users", params={"filter": asked}), 400, "invalidFilter")


@pytest.mark.parametrize("asked", ['userName eq "\\ud800"', 'externalId eq "\\u0000"'])
def test_a_filter_with_what_is_no_text_finds_nobody(directory: httpx.Client, asked: str) -> None:
    """It is never a fault."""
    answer = directory.get("/Users", params={"filter": asked})
    assert answer.json()["totalResults"] == 0


@pytest.mark.parametrize("asked", ["userName", 'userName eq "', "1 eq 1", 'x["', '"a" eq "b"'])
def test_a_filter_that_cannot_be_read_is_refused(directory: httpx.Client, asked: str) -> None:
    """With what is wrong with it."""
    _error(directory.get("/Users", params={"filter": asked}), 400, "invalidFilter")


def test_a_query_says_each_thing_once(directory: httpx.Client) -> None:
    """And not without end."""
    _error(directory.get("/Users?count=1&count=2"), 400, "invalidValue")
    _error(directory.get("/Users?" + "&".join(f"a{n}=1" for n in range(30))), 400, "invalidValue")
    _error(directory.get("/Users?count=%ff"), 400, "invalidValue")


def test_a_patch_has_a_bounded_number_of_operations(directory: httpx.Client) -> None:
    """Each may walk through a whole group."""
    operations = [{"op": "remove", "path": "displayName"}] * 101
    patch = {"schemas": [PATCH], "OPERATIONS": operations}
    _error(directory.patch(f"/Users/{NOBODY}", json=patch), 413)


def test_a_key_that_is_a_path_is_bounded_too(directory: httpx.Client) -> None:
    """The library takes paths as names inside a PATCH."""
    patch = {"schemas": [PATCH], "Operations": [{"op": "add", "value": {"x" * 2_000: 1}}]}
    _error(directory.patch(f"/Users/{NOBODY}", json=patch), 400, "invalidSyntax")


@pytest.mark.parametrize(
    "path",
    ["/Users/..%2f..%2fetc%2fpasswd", "/Users/%2e%2e", "/Users/'%20OR%201=1--", "/Users/%00"],
)
def test_an_id_is_only_ever_compared(directory: httpx.Client, path: str) -> None:
    """No path, no statement."""
    assert directory.get(path).status_code == 404


def test_a_page_is_bounded(directory: httpx.Client) -> None:
    """However much is asked for; what makes no sense is refused or evened out, never a fault."""
    for params in ({"count": 10**9}, {"count": -1}, {"startIndex": -5}, {"startIndex": 10**30}):
        answer = directory.get("/Users", params=params)
        assert answer.status_code in {200, 400}, answer.text
        if answer.status_code == 200:
            assert answer.json()["itemsPerPage"] <= 200


def test_a_fault_of_ours_says_nothing_of_the_inside(
    server: ScimServer, directory: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SCIM error, without the text of what broke."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(scim_storage.scim_rows, "page", broken)
    assert "secret" not in _error(directory.get("/Users"), 500)


def test_a_registry_that_cannot_be_read_is_an_outage(tmp_path: Path) -> None:
    """Without the file's place; it comes back by itself."""
    scim = Scim(tmp_path)
    with ScimServer(scim) as server, server.client() as client:
        away = tmp_path / "away.db"
        (tmp_path / "registry.db").rename(away)
        answer = client.get("/Users")
        assert str(tmp_path) not in _error(answer, 503)
        assert answer.headers["retry-after"]
        away.rename(tmp_path / "registry.db")
        assert client.get("/Users").status_code == 200


def test_who_waits_for_a_turn_takes_a_bounded_number_of_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Further requests are told to come again; those that wait are served."""
    going, go_on = threading.Event(), threading.Event()
    page = scim_storage.scim_rows.page

    def slow(*given: Any) -> Any:
        going.set()
        go_on.wait(WAIT_S)
        return page(*given)

    monkeypatch.setattr(scim_storage.scim_rows, "page", slow)
    scim = Scim(tmp_path)
    with ScimServer(scim, ScimLimits(at_once_max=1)) as server, server.client() as client:
        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(client.get("/Users")))
        first.start()
        assert going.wait(WAIT_S)
        with server.client() as other:
            answer = other.get("/Users")
        go_on.set()
        first.join(WAIT_S)
        _error(answer, 503)
        assert answer.headers["retry-after"]
        assert answers[0].status_code == 200


def test_a_race_that_the_directory_did_not_ask_about_is_run_again(
    directory: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without If-Match the request is done on what is there now; with it, the directory decides."""
    made = directory.post("/Users", json={"schemas": [USER], "userName": "staff-2"})
    update = scim_storage.RegistryStorage.update
    lost: list[str] = []

    def once(storage: Any, *given: Any, **named: Any) -> Any:
        if not lost:
            lost.append("")
            raise PreconditionFailedException
        return update(storage, *given, **named)

    monkeypatch.setattr(scim_storage.RegistryStorage, "update", once)
    operation = {"op": "replace", "path": "displayName", "value": "x"}
    patch = {"schemas": [PATCH], "Operations": [operation]}
    path = f"/Users/{made.json()['id']}"
    stated = {"if-match": made.headers["etag"]}
    _error(directory.patch(path, json=patch, headers=stated), 412)
    lost.clear()
    assert directory.patch(path, json=patch).status_code == 204
    assert len(lost) == 1


def test_what_is_left_of_a_refused_body_ends_the_connection(server: ScimServer) -> None:
    """It would be read as the next request."""
    with server.client("sk-sekisho-aaaaaaaa-" + "a" * 43) as client:
        answer = client.post("/Users", content=b"GET /scim/v2/Users HTTP/1.1\r\n\r\n")
    assert answer.headers["connection"] == "close"
