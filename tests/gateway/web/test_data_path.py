"""Raw ASGI, with a scripted pipeline behind: what passes, what is refused, what is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from sekisho.errors import BackendFailed, DeniedByPolicy, NotAuthenticated
from sekisho.model.hold import HoldView
from sekisho.model.principal import Principal, Shown
from sekisho.pipeline import Pipeline
from sekisho.releasing.gathering import Ended, Gathering
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho.stages.receive import RawRequest
from sekisho.telemetry import Metrics
from sekisho.web.answering import Message, Receive, Scope, Send
from sekisho.web.background import Background
from sekisho.web.data_path import DataPath, Limits
from sekisho.web.dialects import Dialect
from sekisho.web.waiting import Reply, Waiting
from support.entrances import Notebook, entrance

CHAT = "/v1/chat/completions"
CHECK = "/v1/check"
NAMED = {"x-sekisho-exchange": "01a2-2366"}
BODY = b'{"model":"m"}'
KEY = (b"authorization", b"Bearer k1")
OTHER_KEY = (b"authorization", b"Bearer k2")
WAITED_FOR = cast("HoldView", SimpleNamespace(hold=SimpleNamespace(background=False, id="h")))
Handler = Callable[[RawRequest], Awaitable[Whole | Stream | Gathering | HoldView]]


async def _answered(_: RawRequest) -> Whole:
    return Whole(200, {"content-type": "application/json", **NAMED}, b"{}")


class FakePipeline:
    """Answers with `handler`; remembers what it was asked."""

    def __init__(self) -> None:
        self.handler: Handler = _answered
        self.asked: list[RawRequest] = []

    async def identify(self, shown: Shown) -> Principal:
        if not shown.secret:
            raise NotAuthenticated("No key.")
        return Principal(shown.secret, frozenset(), frozenset())

    async def handle(self, _: Principal, raw: RawRequest) -> Whole | Stream | Gathering | HoldView:
        self.asked.append(raw)
        return await self.handler(raw)

    async def check(self, _: Principal, raw: RawRequest, language: str) -> bytes:
        self.asked.append(raw)
        return b'{"object":"check"}'

    async def models(self, _: Principal) -> bytes:
        return orjson.dumps({"object": "list"})


class FakeWaiting:
    """Says which way a request took; keeps company until `until`."""

    def __init__(self) -> None:
        self.until = asyncio.Event()
        self.asked = asyncio.Event()

    def goes_on(self, _: HoldView) -> bool:
        return not self.until.is_set()

    async def waited(self, view: HoldView, _: float) -> HoldView:
        self.asked.set()
        await self.until.wait()
        return view

    async def check(self, _: HoldView) -> None:
        """Nothing is stopped."""

    async def told(self, _: HoldView, *, as_json: bool) -> Reply:
        return Reply(200, [], b"data: 2")

    async def first(self, view: HoldView, post_path: str) -> Reply:
        return Reply(303, [(b"location", post_path.encode())], b"")

    async def hop(self, hold_id: str, principal: Principal) -> Reply:
        return Reply(200, [], f"hop {hold_id} {principal.id}".encode())

    async def retrieve(self, result_id: str, principal: Principal, dialect: Dialect) -> Reply:
        said = f"{dialect.retrieve} {result_id} {principal.id}"
        return Reply(200, [], said.encode())


class FakeBackground:
    """As FakeWaiting, for those who come back."""

    async def posted(self, view: HoldView) -> Reply:
        return Reply(200, [], b"queued")

    async def retrieve(self, result_id: str, principal: Principal, query: Any) -> Reply:
        said = f"client.responses {result_id} {principal.id} {query}"
        return Reply(200, [], said.encode())

    async def cancel(self, result_id: str, principal: Principal) -> Reply:
        return Reply(200, [], f"cancel {result_id} {principal.id}".encode())


class Gate:
    """The data path with fakes around it."""

    def __init__(self, **limits: Any) -> None:
        self.pipeline = FakePipeline()
        self.waiting = FakeWaiting()
        self.metrics = Metrics()
        self.rest_asked: list[str] = []
        self.refused = Notebook()
        bounds = {
            "body_bytes_max": 100,
            "body_bytes_total_max": 150,
            "body_timeout_s": 5.0,
            "inflight_max": 2,
            "waiting_max": 2,
            "per_principal_max": 10,
            "write_timeout_s": 60.0,
        }
        self.can_promise = True
        self.app = DataPath(
            cast("Pipeline", self.pipeline),
            cast("Waiting", self.waiting),
            cast("Background", FakeBackground()),
            Limits(**{**bounds, **limits}),
            self._rest,
            entrance=entrance(self.refused),
            metrics=self.metrics,
            can_promise=lambda: self.can_promise,
        )

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.rest_asked.append(scope["path"])

    def counted(self, sample: str) -> bool:
        return f"sekisho_{sample}\n" in self.metrics.render()[0].decode()


class Client:
    """One request: sends `pieces`, then stays until it hangs up; keeps what it is sent."""

    def __init__(
        self,
        gate: Gate,
        method: str = "POST",
        path: str = CHAT,
        *,
        pieces: Sequence[bytes] = (BODY,),
        ends: bool = True,
        headers: Sequence[tuple[bytes, bytes]] = (KEY,),
    ) -> None:
        self._gate = gate
        self._scope = {
            "type": "http", "method": method, "path": path, "query_string": b"",
            "headers": list(headers), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        last = len(pieces) - 1
        self._messages: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": number < last or not ends}
            for number, piece in enumerate(pieces)
        ]
        self._gone = asyncio.Event()
        self.sent: list[Message] = []
        self.first_chunk = asyncio.Event()

    def hang_up(self) -> None:
        self._gone.set()

    async def ask(self) -> None:
        await self._gate.app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body":
            self.first_chunk.set()

    @property
    def status(self) -> int:
        (start,) = [m for m in self.sent if m["type"] == "http.response.start"]
        return int(start["status"])

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)

    @property
    def code(self) -> str:
        return str(orjson.loads(self.body)["error"]["code"])


async def _asked(gate: Gate, method: str, path: str, **how: Any) -> Client:
    client = Client(gate, method, path, **how)
    await client.ask()
    return client


async def test_a_check_takes_the_body_of_a_chat_and_only_tells() -> None:
    """Within the same bounds; the bytes are given back when it is done."""
    gate = Gate()
    for _ in range(3):
        client = await _asked(gate, "POST", CHECK, pieces=(BODY[:3], BODY[3:]))
        assert (200, b'{"object":"check"}') == (client.status, client.body)
    assert [("chat.completions", BODY)] * 3 == [(r.endpoint, r.body) for r in gate.pipeline.asked]
    assert gate.counted('exchanges_total{code="checked"} 3.0')

    client = await _asked(gate, "POST", CHECK, pieces=(b"x" * 101,))
    assert 413 == client.status
    client = await _asked(gate, "GET", CHECK)
    assert 404 == client.status


async def test_a_chat_request_reaches_the_pipeline_with_its_exact_body() -> None:
    """Pieces are put together; key, address and retry hints come along."""
    gate = Gate()
    headers = (
        (b"authorization", b"bearer  k1 "),
        (b"idempotency-key", b"once"),
        (b"x-stainless-retry-count", b"2"),
    )

    client = await _asked(gate, "POST", CHAT, pieces=[b'{"a":', b"", b"1}"], headers=headers)

    expected = RawRequest("chat.completions", b'{"a":1}', "127.0.0.1", "once", 2)
    assert [expected] == gate.pipeline.asked
    assert (200, b"{}") == (client.status, client.body)
    assert gate.counted('exchanges_total{code="ok"} 1.0')
    assert gate.counted("inflight 0.0")


@pytest.mark.parametrize("count", [b"-1", b"x", b"9999", b"", "٣".encode()])
async def test_a_retry_count_that_is_none_counts_as_zero(count: bytes) -> None:
    """A hint of the client cannot break the request."""
    gate = Gate()
    await _asked(gate, "POST", CHAT, headers=[KEY, (b"x-stainless-retry-count", count)])

    assert 0 == gate.pipeline.asked[0].retry_count


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/models", b'{"object":"list"}'),
        ("GET", CHAT + "/chatcmpl-hold_1", b"client.chat.completions chatcmpl-hold_1 k1"),
        ("GET", "/v1/responses/resp_hold_1", b"client.responses resp_hold_1 k1 {}"),
        ("POST", "/v1/responses/resp_hold_1/cancel", b"cancel resp_hold_1 k1"),
        ("GET", "/v1/approvals/hold_1/result", b"hop hold_1 k1"),
    ],
)
async def test_reads_go_where_they_belong(method: str, path: str, body: bytes) -> None:
    """Each with the presented key."""
    assert body == (await _asked(Gate(), method, path)).body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHAT),
        ("POST", CHAT + "/"),
        ("POST", "/v1/Chat/completions"),
        ("POST", "/v1//chat/completions"),
        ("POST", "/v1/embeddings"),
        ("DELETE", "/v1/models"),
        ("GET", "/v1/models/gpt-4"),
        ("GET", CHAT + "/a/b"),
        ("GET", "/v1/"),
    ],
)
async def test_what_is_not_listed_is_not_there(method: str, path: str) -> None:
    """Never a blind relay: 404 with an OpenAI body, the pipeline not asked."""
    gate = Gate()
    client = await _asked(gate, method, path)

    assert (404, "unknown_path") == (client.status, client.code)
    assert not gate.pipeline.asked


@pytest.mark.parametrize("path", ["/healthz", "/v1/approvals", "/v1/approvals/x", "/v1x", "/"])
async def test_the_rest_is_handed_over(path: str) -> None:
    """What FastAPI serves does not pass through here."""
    gate = Gate()
    await _asked(gate, "GET", path)

    assert [path] == gate.rest_asked


@pytest.mark.parametrize(
    "how",
    [{"headers": [KEY, (b"content-length", b"101")]}, {"pieces": [b"x" * 60, b"x" * 41]}],
    ids=["declared", "sent"],
)
async def test_a_body_too_large_is_refused(how: dict[str, Any]) -> None:
    """By what it declares, or as soon as it is; the room it took is given back."""
    gate = Gate()
    client = await _asked(gate, "POST", CHAT, **how)

    assert (413, "request_too_large") == (client.status, client.code)
    assert gate.counted('exchanges_total{code="request_too_large"} 1.0')
    for _ in range(5):
        assert 200 == (await _asked(gate, "POST", CHAT, pieces=[b"x" * 100])).status


async def test_a_body_too_slow_is_refused() -> None:
    """A client that sends half and waits holds nothing for long."""
    gate = Gate(body_timeout_s=0.05)
    client = await _asked(gate, "POST", CHAT, pieces=[b"x" * 90], ends=False)

    assert (408, "request_timeout") == (client.status, client.code)
    assert 200 == (await _asked(gate, "POST", CHAT, pieces=[b"x" * 100])).status


async def test_all_bodies_together_are_bounded() -> None:
    """While one is being read, another that would exceed the total is told to come back."""
    gate = Gate()
    slow = Client(gate, pieces=[b"x" * 90], ends=False)
    reading = asyncio.create_task(slow.ask())
    await asyncio.sleep(0)

    client = await _asked(gate, "POST", CHAT, pieces=[b"x" * 70])
    slow.hang_up()
    await reading

    assert (503, "overloaded") == (client.status, client.code)
    assert not slow.sent
    assert 200 == (await _asked(gate, "POST", CHAT, pieces=[b"x" * 100])).status


async def _until_asked(gate: Gate) -> None:
    while not gate.pipeline.asked:
        await asyncio.sleep(0)


def _stuck(ended: list[str]) -> Handler:
    async def handler(_: RawRequest) -> Whole:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        raise AssertionError

    return handler


async def test_a_client_that_hangs_up_cancels_its_exchange() -> None:
    """The pipeline is cancelled, nothing is written to nobody, the place is free again."""
    gate, ended = Gate(), list[str]()
    gate.pipeline.handler = _stuck(ended)
    client = Client(gate)
    asking = asyncio.create_task(client.ask())
    await _until_asked(gate)

    client.hang_up()
    await asking

    assert ["cancelled"] == ended
    assert not client.sent
    assert gate.counted('exchanges_total{code="cancelled"} 1.0')
    assert gate.counted("inflight 0.0")


async def test_a_server_that_stops_says_so() -> None:
    """A request cut off by our own stop gets an answer, in the shape every SDK reads."""
    gate = Gate()
    gate.pipeline.handler = _stuck([])
    client = Client(gate)
    asking = asyncio.create_task(client.ask())
    await _until_asked(gate)

    asking.cancel()
    await asking

    assert (503, "gateway_stopping") == (client.status, client.code)


async def test_a_stranger_takes_no_place_and_no_body_is_read() -> None:
    """Without a key nothing of the body is asked for, so half a body holds nothing."""
    gate = Gate(inflight_max=1)
    stranger = Client(gate, pieces=[b"x"], ends=False, headers=())
    await stranger.ask()

    assert (401, "invalid_api_key") == (stranger.status, stranger.code)
    assert 200 == (await _asked(gate, "POST", CHAT)).status


async def test_one_principal_does_not_take_every_place() -> None:
    """Beyond its share it is told so; somebody else is served."""
    gate = Gate(inflight_max=5, per_principal_max=1)
    gate.pipeline.handler = _stuck([])
    first = Client(gate)
    asking = asyncio.create_task(first.ask())
    await _until_asked(gate)

    second = await _asked(gate, "POST", CHAT)
    gate.pipeline.handler = _answered
    other = await _asked(gate, "POST", CHAT, headers=[OTHER_KEY])
    first.hang_up()
    await asking

    assert (429, "too_many_requests_at_once") == (second.status, second.code)
    assert 200 == other.status


async def test_waiting_for_people_keeps_nobody_from_asking() -> None:
    """A held request gives its place back before it waits."""
    gate = Gate(inflight_max=1)
    waiting = asyncio.Event()

    class Patient(FakeWaiting):
        async def first(self, view: HoldView, post_path: str) -> Reply:
            waiting.set()
            await asyncio.Event().wait()
            return await super().first(view, post_path)

    async def really_held(raw: RawRequest) -> Any:
        return WAITED_FOR

    gate.pipeline.handler = really_held
    gate.app._waiting = cast("Waiting", Patient())
    first = Client(gate)
    asking = asyncio.create_task(first.ask())
    await waiting.wait()

    gate.pipeline.handler = _answered
    other = await _asked(gate, "POST", CHAT)
    first.hang_up()
    await asking

    assert 200 == other.status


async def test_a_large_answer_is_written_in_pieces() -> None:
    """So that a client that does not read makes the writer wait instead of filling memory."""
    gate = Gate()
    whole = b"x" * 200_000

    async def large(_: RawRequest) -> Whole:
        return Whole(200, NAMED, whole)

    gate.pipeline.handler = large
    client = await _asked(gate, "POST", CHAT)

    pieces = [m["body"] for m in client.sent[1:]]
    assert whole == b"".join(pieces)
    assert max(len(piece) for piece in pieces) <= 65_536


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """Its place is free again after the write timeout."""
    gate = Gate(inflight_max=1, write_timeout_s=0.04)
    dropping = asyncio.create_task(gate.app.drop_stalled())

    class Deaf(Client):
        async def _send(self, message: Message) -> None:
            await super()._send(message)
            await asyncio.Event().wait()

    await asyncio.wait_for(Deaf(gate).ask(), 5)
    dropping.cancel()

    assert 200 == (await _asked(gate, "POST", CHAT)).status


async def test_a_stream_nobody_began_to_read_is_closed() -> None:
    """A client that never takes the head of the answer leaves no outcome open."""
    gate, closed = Gate(), list[str]()

    async def abandoned() -> None:
        closed.append("closed")

    async def handler(_: RawRequest) -> Stream:
        stream = Stream(200, NAMED)
        stream.pieces = _never_read()
        stream.abandon = abandoned
        return stream

    class Deaf(Client):
        async def _send(self, message: Message) -> None:
            self.first_chunk.set()
            await asyncio.Event().wait()

    gate.pipeline.handler = handler
    client = Deaf(gate)
    asking = asyncio.create_task(client.ask())
    await client.first_chunk.wait()

    client.hang_up()
    await asking

    assert ["closed"] == closed


async def _never_read() -> AsyncGenerator[bytes, None]:
    yield b""


async def test_a_worker_that_cannot_promise_outcomes_admits_nothing() -> None:
    """What could not be recorded is not begun."""
    gate = Gate()
    gate.can_promise = False

    client = await _asked(gate, "POST", CHAT)

    assert (503, "overloaded") == (client.status, client.code)
    assert [] == gate.pipeline.asked


async def test_an_idempotency_key_beyond_its_limit_is_refused_not_cut() -> None:
    """Two keys that differ at their end must not become one."""
    client = await _asked(Gate(), "POST", CHAT, headers=[KEY, (b"idempotency-key", b"k" * 257)])

    assert 400 == client.status


async def test_a_worker_takes_on_no_more_than_its_limit() -> None:
    """The next one is told at once to come back, with nothing read."""
    gate = Gate(inflight_max=1)
    gate.pipeline.handler = _stuck([])
    first = Client(gate)
    asking = asyncio.create_task(first.ask())
    await _until_asked(gate)

    second = await _asked(gate, "POST", CHAT)
    first.hang_up()
    await asking
    gate.pipeline.handler = _answered

    assert (503, "overloaded") == (second.status, second.code)
    assert 200 == (await _asked(gate, "POST", CHAT)).status


async def test_a_stopping_worker_admits_nobody() -> None:
    """Running exchanges go on; new ones are refused."""
    gate = Gate()
    gate.app.admitting = False

    assert 503 == (await _asked(gate, "POST", CHAT)).status
    assert not gate.pipeline.asked


async def _nothing_left() -> None:
    """What a stream that was begun has to do at its end was done by its pieces."""


def _stream(end: BaseException | None, ended: str = "ok") -> Handler:
    async def pieces(stream: Stream) -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: 1\n\n"
            if end is not None:
                raise end
            yield b"data: 2\n\n"
        finally:
            stream.chunks, stream.ended = 2, ended

    async def handler(_: RawRequest) -> Stream:
        stream = Stream(200, {"content-type": "text/event-stream", **NAMED})
        stream.pieces = pieces(stream)
        stream.abandon = _nothing_left
        return stream

    return handler


@pytest.mark.parametrize("ended", ["ok", "backend_cut"])
async def test_a_stream_is_written_piece_by_piece_and_counted(ended: str) -> None:
    """It is counted under how it ended, which may be an error event inside a 200."""
    gate = Gate()
    gate.pipeline.handler = _stream(None, ended)
    client = await _asked(gate, "POST", CHAT)

    assert [b"data: 1\n\n", b"data: 2\n\n", b""] == [m["body"] for m in client.sent[1:]]
    assert [True, True, False] == [m["more_body"] for m in client.sent[1:]]
    assert gate.counted(f'exchanges_total{{code="{ended}"}} 1.0')
    assert gate.counted("chunks_total 2.0")


@pytest.mark.parametrize("fault", [BackendFailed("late"), KeyError("bug")])
async def test_an_error_after_the_stream_began_starts_no_second_answer(fault: Exception) -> None:
    """The connection breaks, so that no client takes half an answer for the whole."""
    gate = Gate()
    gate.pipeline.handler = _stream(fault)
    client = Client(gate)

    with pytest.raises(type(fault)):
        await client.ask()

    assert 200 == client.status
    assert not [m for m in client.sent[1:] if not m["more_body"]]


async def test_hanging_up_in_mid_stream_closes_the_pieces() -> None:
    """What is still coming from the backend is given up."""
    gate, closed = Gate(), list[str]()

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    async def handler(_: RawRequest) -> Stream:
        stream = Stream(200, NAMED)
        stream.pieces = pieces()
        stream.abandon = _nothing_left
        return stream

    gate.pipeline.handler = handler
    client = Client(gate)
    asking = asyncio.create_task(client.ask())
    await client.first_chunk.wait()

    client.hang_up()
    await asking

    assert ["closed"] == closed


async def test_a_refusal_is_answered_in_the_clients_terms() -> None:
    """Status, code and exchange id; the count goes to its code."""
    gate = Gate()
    error = DeniedByPolicy("No.")
    error.exchange = "x1"

    async def handler(_: RawRequest) -> Whole:
        raise error

    gate.pipeline.handler = handler
    client = await _asked(gate, "POST", CHAT)

    assert (403, "policy_denied") == (client.status, client.code)
    assert (b"x-sekisho-exchange", b"x1") in client.sent[0]["headers"]
    assert gate.counted('exchanges_total{code="policy_denied"} 1.0')


async def test_a_refusal_by_the_rules_is_in_the_clients_language() -> None:
    """The header decides, without one the installation."""
    for wished, default, told in (
        (b"zh-CN", "en", "不行。"),
        (None, "ja", "だめ"),
        (b"en", "ja", "No."),
    ):
        gate = Gate(language=default)

        async def handler(_: RawRequest) -> Whole:
            raise DeniedByPolicy("No.", texts={"zh": "不行。", "ja": "だめ"})

        gate.pipeline.handler = handler
        wish = [] if wished is None else [(b"accept-language", wished)]
        client = await _asked(gate, "POST", CHAT, headers=[KEY, *wish])
        assert told == orjson.loads(client.body)["error"]["message"]


async def test_a_fault_of_ours_tells_nothing_of_itself() -> None:
    """500 with a fixed text: an exception may quote a prompt."""

    async def handler(_: RawRequest) -> Whole:
        raise ValueError("secret prompt")

    gate = Gate()
    gate.pipeline.handler = handler
    client = await _asked(gate, "POST", CHAT)

    assert (500, "internal_fault") == (client.status, client.code)
    assert b"secret" not in client.body
    assert gate.counted('exchanges_total{code="internal_fault"} 1.0')


async def test_a_hold_becomes_a_wait() -> None:
    """The waiting room answers, with the path that was posted to."""

    async def handler(_: RawRequest) -> HoldView:
        return WAITED_FOR

    gate = Gate()
    gate.pipeline.handler = handler
    client = await _asked(gate, "POST", CHAT)

    assert 303 == client.status
    assert gate.counted('exchanges_total{code="held"} 1.0')


async def test_a_client_of_the_responses_api_is_answered_in_it() -> None:
    """The pipeline is told which API it was, and its chat completion comes back as a response."""
    gate = Gate()

    client = await _asked(gate, "POST", "/v1/responses", headers=[KEY])

    assert [asked.endpoint for asked in gate.pipeline.asked] == ["responses"]
    said = orjson.loads(client.body)
    assert (said["object"], said["id"]) == ("response", "resp_01a22366")


async def test_a_stream_of_the_responses_api_speaks_it_to_its_end() -> None:
    """Events in place of chunks, from the first to the last."""
    gate = Gate()

    async def streamed(_: RawRequest) -> Stream:
        stream = Stream(200, {"content-type": "text/event-stream", **NAMED})
        stream.pieces, stream.abandon = _said(), _nothing
        return stream

    async def _said() -> AsyncGenerator[bytes, None]:
        yield b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
        yield b"data: [DONE]"

    async def _nothing() -> None:
        return

    gate.pipeline.handler = streamed

    client = await _asked(gate, "POST", "/v1/responses", headers=[KEY])

    assert client.body.startswith(b"event: response.created\n")
    assert b"event: response.output_text.delta\n" in client.body
    assert client.body.rstrip().rsplit(b"\n", 2)[-2] == b"event: response.completed"


async def test_who_comes_back_takes_no_place_of_those_who_wait() -> None:
    """What is filed is said to be filed, however many wait."""
    gate = Gate(waiting_max=0)
    hold = SimpleNamespace(background=True, stream=False)

    async def held(_: RawRequest) -> HoldView:
        return cast("HoldView", SimpleNamespace(hold=hold, unjustified=False))

    gate.pipeline.handler = held

    client = await _asked(gate, "POST", "/v1/responses", headers=[KEY])

    assert (client.status, client.body) == (200, b"queued")


class Slow:
    """A pipeline's answer that is read whole and takes its time; what it ends as is said later."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    async def answer(self, _: RawRequest) -> Gathering:
        return Gathering(NAMED, asyncio.create_task(self._read()))

    async def _read(self) -> Ended:
        return await self.ended


async def test_a_client_is_kept_company_until_its_answer_is_there() -> None:
    """Counted once, in a place of those who ask."""
    gate, slow = Gate(inflight_max=1), Slow()
    gate.pipeline.handler = slow.answer
    client = Client(gate)
    asking = asyncio.create_task(client.ask())
    await client.first_chunk.wait()
    assert (200, b":\n\n") == (client.status, client.body)
    assert 503 == (await _asked(gate, "POST", CHAT)).status

    slow.ended.set_result(Whole(200, {"content-type": "text/event-stream", **NAMED}, b"data: 1"))
    await asking

    assert client.body.endswith(b"data: 1")
    assert gate.counted('exchanges_total{code="ok"} 1.0')


async def test_who_waits_for_people_frees_the_place_of_those_who_ask() -> None:
    """And takes one of the others, if there is one."""
    gate, slow, waits = Gate(inflight_max=1, waiting_max=1), Slow(), asyncio.Event()
    gate.pipeline.handler = slow.answer
    gate.waiting.until = waits
    client = Client(gate)
    asking = asyncio.create_task(client.ask())
    await client.first_chunk.wait()
    slow.ended.set_result(WAITED_FOR)
    await gate.waiting.asked.wait()

    gate.pipeline.handler = _answered
    assert 200 == (await _asked(gate, "POST", CHAT)).status
    assert 503 == (await _asked(gate, "GET", "/v1/approvals/hold_1/result")).status
    waits.set()
    await asking
    assert gate.counted('exchanges_total{code="held"} 1.0')
    assert 200 == (await _asked(gate, "GET", "/v1/approvals/hold_1/result")).status


async def test_a_client_that_hangs_up_meanwhile_ends_it() -> None:
    """What was read for it is cancelled, with its cause."""
    gate, slow = Gate(), Slow()
    gate.pipeline.handler = slow.answer
    client = Client(gate)
    asking = asyncio.create_task(client.ask())
    await client.first_chunk.wait()

    client.hang_up()
    await asking

    assert slow.ended.cancelled()
    assert gate.counted('exchanges_total{code="cancelled"} 1.0')
