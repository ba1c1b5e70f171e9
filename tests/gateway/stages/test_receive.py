"""Bytes become an Exchange, or a 400 that says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from sekisho.errors import BadRequest
from sekisho.model.assistant import NO_ASSISTANTS, Assistant, Assistants
from sekisho.model.exchange import Exchange
from sekisho.stages.receive import RawRequest, receive


def _receive(body: bytes) -> Exchange:
    raw = RawRequest(endpoint="chat.completions", body=body, client_ip="127.0.0.1")
    return receive(raw, depth_max=64, now_us=1_700_000_000_000_000, assistants=NO_ASSISTANTS)


LONG_S = {"tool\u017f": []}  # as a keyword, Python itself would fold it


def _body(**members: Any) -> bytes:
    whole = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return json.dumps({k: v for k, v in whole.items() if v is not ...}).encode()


def test_an_ordinary_body_is_kept_byte_for_byte() -> None:
    """What was sent is what will be relayed, spaces and unknown members included."""
    body = _body(stream=True, some_new_member={"x": [1.50]})

    exchange = _receive(body)

    assert body == exchange.body
    assert ("m", True) == (exchange.model, exchange.stream)


WRONG = {
    "not an object": b"[]",
    "no model": _body(model=...),
    "model not text": _body(model=7),
    "model empty": _body(model=""),
    "model too long": _body(model="m" * 257),
    "model with a line break": _body(model="a\nb"),
    "model with a look-alike letter": _body(model="gpt-4\u043e"),
    "no messages": _body(messages=...),
    "messages empty": _body(messages=[]),
    "messages not a list": _body(messages="hi"),
    "message not an object": _body(messages=["hi"]),
    "message without role": _body(messages=[{"content": "x"}]),
    "too many messages": _body(messages=[{"role": "user"}] * 4097),
    "stream as text": _body(stream="true"),
    "stream as number": _body(stream=1),
    "max_tokens as text": _body(max_tokens="5"),
    "max_tokens as bool": _body(max_tokens=True),
    "max_tokens as huge float": b'{"model":"m","messages":[{"role":"u"}],"max_tokens":1e30}',
    "max_tokens below one": _body(max_tokens=-1),
    "max_completion_tokens of none": _body(max_completion_tokens=0),
    "too many choices": _body(n=129),
    "tools not a list": _body(tools={"type": "function"}),
    "member in capitals": _body(Tools=[]),
    "member that folds to another": _body(**LONG_S),
    "message member in capitals": _body(messages=[{"role": "user", "Content": "x"}]),
    "part member in capitals": _body(messages=[{"role": "user", "content": [{"Type": "text"}]}]),
    "tool member in capitals": _body(tools=[{"type": "function", "Type": "web_search"}]),
    "duplicate key": b'{"model":"a","model":"b","messages":[{"role":"u"}]}',
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_judged_is_refused(body: bytes) -> None:
    """A clear 400, never a guess."""
    with pytest.raises(BadRequest) as caught:
        _receive(body)

    assert 400 == caught.value.status
    assert caught.value.message.endswith(".")


def test_the_member_at_fault_is_named() -> None:
    """SDKs show `param`, so it leads to the place."""
    with pytest.raises(BadRequest) as caught:
        _receive(_body(messages=[{"role": "user"}, {"content": "x"}]))

    assert "messages.1" == caught.value.param


def test_ids_sort_by_time() -> None:
    """Exchange ids are uuid7, so a listing by id is a listing by time."""
    ids = [_receive(_body()).id for _ in range(3)]

    assert all(value[14] == "7" for value in ids)
    assert len(set(ids)) == 3


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n"])
def test_no_number_is_larger_than_anybody_can_count(name: str) -> None:
    """Sums with it would leave what the ledger and the store hold exactly."""
    body = orjson.dumps({"model": "m", "messages": [{"role": "user"}], name: 2**62})
    with pytest.raises(BadRequest) as caught:
        receive(
            RawRequest("chat.completions", body, "127.0.0.1"),
            depth_max=64,
            now_us=0,
            assistants=NO_ASSISTANTS,
        )
    assert name == caught.value.param


CLERK = Assistant("clerk", "m", "Answer in two sentences.", frozenset({"sales"}), ("internal",))
ALL = Assistants("sha256:1", {"clerk": CLERK})


def _through(model: str, **members: Any) -> Exchange:
    raw = RawRequest("chat.completions", _body(model=model, **members), "127.0.0.1")
    return receive(raw, depth_max=64, now_us=0, assistants=ALL)


def test_an_assistant_is_its_model_and_its_instructions() -> None:
    """They stand before whatever the client says; all else stays."""
    mine = {"role": "system", "content": "Be rude."}
    exchange = _through("assistant/clerk", messages=[mine], top_k=4)

    sent = orjson.loads(exchange.body)
    assert exchange.parsed == sent
    assert ("m", 4) == (sent["model"], sent["top_k"])
    assert [{"role": "system", "content": "Answer in two sentences."}, mine] == sent["messages"]
    assert ("m", "assistant/clerk") == (exchange.model, exchange.asked)
    assert (CLERK, "sha256:1") == (exchange.assistant, exchange.revision)


@pytest.mark.parametrize("model", ["m", "clerk", "assistant/", "assistant/boss", "Assistant/clerk"])
def test_other_names_are_names_of_models(model: str) -> None:
    """Nothing is put in for them."""
    exchange = _through(model)

    assert _body(model=model) == exchange.body
    assert (None, model) == (exchange.assistant, exchange.asked)


def _responses(**members: Any) -> Exchange:
    body = json.dumps({"model": "m", "input": "hi", **members}).encode()
    raw = RawRequest(endpoint="responses", body=body, client_ip="127.0.0.1")
    return receive(raw, depth_max=64, now_us=1_700_000_000_000_000, assistants=NO_ASSISTANTS)


def test_a_request_of_the_responses_api_becomes_a_chat_request() -> None:
    """What is judged, bound and sent is one form; the endpoint is still a fact."""
    exchange = _responses(stream=True)

    assert exchange.parsed["messages"] == [{"role": "user", "content": "hi"}]
    assert orjson.loads(exchange.body) == exchange.parsed
    assert (exchange.endpoint, exchange.stream) == ("responses", True)


@pytest.mark.parametrize(
    "members",
    [
        {"model": None},
        {"stream": "yes"},
        {"input": [{"type": "message", "content": "x"}]},
        {"input": [{"role": "user", "content": "x"}] * 4097},
        {"max_output_tokens": 10_000_001},
    ],
)
def test_what_is_wrong_in_the_chat_request_is_wrong(members: dict[str, Any]) -> None:
    """The checks of the one form hold for both."""
    with pytest.raises(BadRequest):
        _responses(**members)
