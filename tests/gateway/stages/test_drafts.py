"""Who asks says first what became of earlier answers, where the rules want it."""

from __future__ import annotations

import orjson
import pytest

from sekisho.errors import DraftsOutstanding, LedgerRefused, LedgerUnavailable
from sekisho.model import evidence
from sekisho.model.decision import Effect
from sekisho.model.draft import DraftSaid
from sekisho.releasing.replies import Whole
from sekisho.stages.drafts import NAMED_MAX, open_drafts, outstanding
from support.holds import STAFF, STRANGER
from support.line import ANSWER, CHAT_BODY, Line, chat, decision

TWO = decision(Effect.ALLOW, drafts_max=2)


@pytest.fixture
def line() -> Line:
    made = Line()
    made.rules.says = TWO
    return made


async def asked(line: Line, number: int = 0) -> Whole:
    body = CHAT_BODY.replace(b"hello", b"hello %d" % number)
    answer = await line.pipeline.handle(STAFF, chat(body))
    assert isinstance(answer, Whole)
    return answer


async def test_with_too_many_open_nothing_is_sent(line: Line) -> None:
    """The refusal names them and is on record; each answer says that it is open."""
    first = await asked(line, 1)
    second = await asked(line, 2)
    assert "open" == first.headers["x-sekisho-draft"]

    with pytest.raises(DraftsOutstanding) as caught:
        await asked(line, 3)

    error = caught.value
    assert (428, "drafts_outstanding") == (error.status, error.code)
    for answer in (first, second):
        assert answer.headers["x-sekisho-exchange"] in error.message
    assert 2 == len(line.backend.sent)
    assert ["drafts_outstanding"] == [one["code"] for one in line.data("exchange.refused")]


async def test_a_word_about_one_lets_the_next_through(line: Line) -> None:
    """Whatever the word is."""
    first = await asked(line, 1)
    await asked(line, 2)
    exchange = first.headers["x-sekisho-exchange"]
    said = DraftSaid("rejected", "", "")
    word = evidence.draft_answered(exchange, STAFF.id, STAFF.id, said, b"k" * 32)
    await line.ledger.append([word])

    assert ANSWER == (await asked(line, 3)).body


async def test_others_and_other_rules_are_not_stopped(line: Line) -> None:
    """It is each person's own, and about answers under such rules."""
    await asked(line, 1)
    await asked(line, 2)
    assert isinstance(await line.pipeline.handle(STRANGER, chat()), Whole)
    line.rules.says = decision(Effect.ALLOW)
    answer = await asked(line, 3)
    assert "x-sekisho-draft" not in answer.headers


async def test_what_failed_is_not_open(line: Line) -> None:
    """And a request that was denied is denied, whatever is open."""
    await asked(line, 1)
    await asked(line, 2)
    line.rules.says = decision(Effect.DENY, drafts_max=1)
    with pytest.raises(Exception, match="Because"):
        await asked(line, 3)


async def test_the_ledgers_count_is_the_one_that_holds(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a history that is behind let through is refused as the same thing."""
    append = line.ledger.append

    async def refuses(events):  # type: ignore[no-untyped-def]
        if any(event.type == "backend.intent" for event in events):
            raise LedgerRefused("2 answers wait", code="drafts_outstanding")
        return await append(events)

    monkeypatch.setattr(line.ledger, "append", refuses)
    with pytest.raises(DraftsOutstanding):
        await asked(line)
    assert [] == line.backend.sent


async def test_without_a_ledger_nothing_is_sent(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say how many are open."""

    async def away(*_: object) -> None:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(line.ledger, "exchanges", away)
    with pytest.raises(LedgerUnavailable):
        await asked(line)
    assert [] == line.backend.sent


def test_a_refusal_names_a_few() -> None:
    """Who asked finds all of them in their history."""
    message = outstanding([f"x-{number}" for number in range(20)]).message
    assert f"x-{NAMED_MAX - 1}," in message or f"x-{NAMED_MAX - 1}." in message
    assert f"x-{NAMED_MAX}" not in message
    assert orjson.dumps(outstanding().message)


async def test_a_check_says_how_many_are_open(line: Line) -> None:
    """And whether the next would be refused; it is answered all the same."""
    for number, refused in ((0, False), (1, False), (2, True)):
        told = orjson.loads(await line.pipeline.check(STAFF, chat()))
        assert told["drafts"] == {"max": 2, "open": number, "refused": refused}
        if not refused:
            await asked(line, number)
    line.rules.says = decision(Effect.ALLOW)
    assert orjson.loads(await line.pipeline.check(STAFF, chat()))["drafts"] is None


async def test_many_refused_tries_hide_no_open_answer(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked at are exchanges of which something was sent."""
    monkeypatch.setattr("sekisho.stages.drafts.HISTORY", 2)
    await asked(line, 1)
    await asked(line, 2)
    for number in range(6):
        with pytest.raises(DraftsOutstanding):
            await asked(line, 3 + number)
    assert len(await open_drafts(STAFF, line.ledger)) == 2
