from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from sekisho.cli import Parser
from sekisho.cli.gate import Gate, GateFailed, add_gate, connect
from support.authority import Authority
from support.tls_site import tls_site


def gate(answer: Callable[[httpx.Request], httpx.Response]) -> Gate:
    return Gate("http://gate.example/", "sk-sekisho-x", httpx.MockTransport(answer))


def options(*words: str) -> argparse.Namespace:
    parser = Parser()
    add_gate(parser)
    return parser.parse_args(words)


def test_a_question_carries_the_key_and_gets_json() -> None:
    """The key goes into the header, the query into the address."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer sk-sekisho-x"
        return httpx.Response(200, json={"url": str(request.url), "method": request.method})

    said = gate(answer).get("/v1/approvals", status="open")
    assert said == {"url": "http://gate.example/v1/approvals?status=open", "method": "GET"}


def test_a_post_carries_its_body() -> None:
    """What is sent is what was given."""
    said = gate(lambda r: httpx.Response(200, json=json.loads(r.content))).post("/x", {"a": 1})
    assert said == {"a": 1}


def test_a_refusal_is_said_in_the_gateways_words() -> None:
    """The OpenAI-shaped error becomes one sentence with its code."""
    body = {"error": {"message": "Ask a colleague.", "code": "self_approval"}}
    with pytest.raises(GateFailed, match=r"Ask a colleague. \(self_approval\)"):
        gate(lambda _: httpx.Response(403, json=body)).get("/x")


@pytest.mark.parametrize("body", [[], {"error": "no"}, {"error": {"message": 3}}])
def test_a_strange_refusal_is_said_by_its_status(body: object) -> None:
    """Another server behind the address does not crash the command."""
    with pytest.raises(GateFailed, match="502"):
        gate(lambda _: httpx.Response(502, json=body)).get("/x")


def test_an_answer_without_json_is_no_gateway() -> None:
    """A proxy's error page is told from a gateway."""
    with pytest.raises(GateFailed, match="is it a Sekisho gateway"):
        gate(lambda _: httpx.Response(200, text="<html>")).get("/x")


def test_a_redirect_is_not_followed() -> None:
    """The key is not carried to wherever an answer points."""
    with pytest.raises(GateFailed, match="is it a Sekisho gateway"):
        gate(lambda _: httpx.Response(302, headers={"location": "http://evil.example"})).get("/x")


def test_nobody_there_is_said_with_what_to_do() -> None:
    """The message names the address and how to change it."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(GateFailed, match="SEKISHO_URL"):
        gate(refuse).get("/x")


def test_a_certificate_that_is_not_trusted_is_told_from_silence(tmp_path: Path) -> None:
    """The gateway is there; what helps is its authority, not another address."""
    with tls_site(Authority(tmp_path).server(), {}) as port:
        here = Gate(f"https://127.0.0.1:{port}", "sk-sekisho-x")
        with pytest.raises(GateFailed, match=r"not trusted here: unable to .* SSL_CERT_FILE"):
            here.get("/x")


def test_a_private_authority_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that the message tells."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    with tls_site(authority.server(), {"a": 1}) as port:
        assert Gate(f"https://127.0.0.1:{port}", "sk-sekisho-x").get("/x") == {"a": 1}


def test_the_key_comes_from_environment_or_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Never from the command line, which other accounts of the machine can read."""
    monkeypatch.delenv("SEKISHO_KEY", raising=False)
    with pytest.raises(GateFailed, match="SEKISHO_KEY"):
        connect(options())
    monkeypatch.setenv("SEKISHO_KEY", "sk-sekisho-x")
    assert connect(options())
    file = tmp_path / "key"
    file.write_text("sk-sekisho-é\n")
    with pytest.raises(GateFailed, match="key is needed"):
        connect(options("--key-file", str(file)))
    with pytest.raises(GateFailed, match="cannot be read"):
        connect(options("--key-file", str(tmp_path / "absent")))
    with pytest.raises(SystemExit):
        options("--key", "sk-sekisho-x")


def test_an_address_without_a_scheme_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip is told before a key is sent anywhere."""
    monkeypatch.setenv("SEKISHO_KEY", "sk-sekisho-x")
    with pytest.raises(GateFailed, match="must begin with"):
        connect(options("--url", "gate.example"))
