"""The writer: what it promises, what it refuses, and what it does when the disk fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.canon import encode
from sekisho_audit.errors import Locked, Poisoned, Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ledger import Ledger, Request
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.verify import verify
from support.ledgers import (
    CANARY,
    REVIEWER,
    STAFF,
    HeldExchange,
    decision,
    intent,
    open_ledger,
    outcome,
    received,
    run_exchange,
    run_held_exchange,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    return opened


def leaves(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        orjson.loads(frame.body)
        for segment in segments(ledger.directory, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


def refusal(ledger: Ledger, *events: Event) -> str:
    """The code with which these events are refused, and the proof that nothing was written."""
    before = ledger.size, ledger.root()
    with pytest.raises(Refused) as caught:
        ledger.append_batch(list(events))
    assert (ledger.size, ledger.root()) == before
    return caught.value.code


# -- the ordinary way


def test_events_stand_where_they_are_said_to_stand(ledger: Ledger) -> None:
    """Index and leaf hash of the answer are those of the stored event."""
    exchange = uuid7()
    places = ledger.append_batch([received(exchange), decision(exchange)])
    stored = list(frames(segments(ledger.directory, EVENTS)[0], EVENTS))
    for place in places:
        assert stored[place.index].digest.hex() == place.leaf


def test_leaf_bytes_are_canonical(ledger: Ledger) -> None:
    """The fast encoder of the writer gives the very bytes of the slow canonical one."""
    exchange = uuid7()
    event = received(exchange)
    strange = '\u0000\u001f\u007f"\\/\u2028\U0001f512 引用 é'
    event = replace(event, data={**event.data, "model": strange, "bytes": 2**53 - 1})
    ledger.append_batch([event])
    for frame in frames(segments(ledger.directory, EVENTS)[0], EVENTS):
        assert encode(orjson.loads(frame.body)) == frame.body


def test_same_bytes_have_the_same_commitment_within_an_exchange(ledger: Ledger) -> None:
    """What was received and what leaves can be compared without reading it."""
    exchange = uuid7()
    places = ledger.append_batch([received(exchange), decision(exchange), intent(exchange, "s-1")])
    assert places[0].commits["prompt"] == places[2].commits["outgoing"]


def test_same_bytes_cannot_be_linked_across_exchanges(ledger: Ledger) -> None:
    """Equal prompts of two exchanges have different commitments."""
    one, two = ledger.append_batch([received(uuid7()), received(uuid7())])
    assert one.commits["prompt"] != two.commits["prompt"]


def test_repeated_append_is_written_once(ledger: Ledger) -> None:
    """The same event again gets its first place, marked as a duplicate."""
    event = received(uuid7())
    [first] = ledger.append_batch([event])
    size = ledger.size
    [second] = ledger.append_batch([event])
    assert (second.index, second.leaf, second.commits) == (first.index, first.leaf, first.commits)
    assert (second.duplicate, ledger.size) == (True, size)


def test_repeated_append_is_known_after_a_restart(tmp_path: Path, ledger: Ledger) -> None:
    """Idempotency survives the writer."""
    event = received(uuid7())
    [first] = ledger.append_batch([event])
    ledger.close()
    again = open_ledger(tmp_path)
    [second] = again.append_batch([replace(event, payloads=())])
    assert (second.index, second.duplicate) == (first.index, True)


def test_two_copies_in_one_group_commit_are_written_once(ledger: Ledger) -> None:
    """A call that is sent again while its first copy is being written gets the same place."""
    event = received(uuid7())
    one, two = ledger.append_many([Request([event]), Request([event])])
    assert isinstance(one, list)
    assert isinstance(two, list)
    assert (one[0].index, one[0].duplicate) == (two[0].index, not two[0].duplicate)


def test_other_event_under_a_known_id_is_refused(ledger: Ledger) -> None:
    """An id stands for one event: other bytes under it must not pass as recorded."""
    exchange = uuid7()
    event = received(exchange)
    ledger.append_batch([event])
    other = replace(event, payloads=(Payload("prompt", b"other", b"other"),))
    assert refusal(ledger, other) == "id_conflict"
    assert refusal(ledger, replace(event, data={**event.data, "bytes": 1})) == "id_conflict"


def test_idempotency_memory_is_bounded(tmp_path: Path) -> None:
    """Old ids are forgotten, recent ones are not."""
    ledger = open_ledger(tmp_path, memory_events=8)
    events = [received(uuid7()) for _ in range(40)]
    for event in events:
        ledger.append_batch([event])
    assert ledger.append_batch([events[-1]])[0].duplicate
    assert not ledger.append_batch([events[0]])[0].duplicate


# -- rules


BAD_EVENTS: dict[str, Callable[[Event], Event]] = {
    "unknown type": lambda e: replace(e, type="request.guessed"),
    "unknown field": lambda e: replace(e, data={**e.data, "prompt": "hello"}),
    "missing field": lambda e: replace(e, data={"model": "m"}),
    "float": lambda e: replace(e, data={**e.data, "bytes": 1.0}),
    "bool for int": lambda e: replace(e, data={**e.data, "bytes": True}),
    "large int": lambda e: replace(e, data={**e.data, "bytes": 2**53}),
    "lone surrogate": lambda e: replace(e, data={**e.data, "model": "\ud800"}),
    "long text": lambda e: replace(e, data={**e.data, "model": "m" * 3_000}),
    "id no uuid": lambda e: replace(e, id="7"),
    "id in upper case": lambda e: replace(e, id=e.id.upper().replace("0", "A")),
    "no exchange": lambda e: replace(e, exchange=None),
    "exchange no uuid7": lambda e: replace(e, exchange="x"),
    "empty principal": lambda e: replace(e, principal=""),
    "payload name": lambda e: replace(e, payloads=(Payload("Pro/mpt", b""),)),
    "payload twice": lambda e: replace(e, payloads=(Payload("p", b""), Payload("p", b""))),
}


@pytest.mark.parametrize("story", BAD_EVENTS)
def test_bad_event_is_refused(ledger: Ledger, story: str) -> None:
    """What the table of events does not know is not written."""
    assert refusal(ledger, BAD_EVENTS[story](received(uuid7()))) == "bad_event"


@pytest.mark.parametrize(
    "kind", ["audit.boot", "audit.shutdown", "session.opened", "session.closed", "outcome.late"]
)
def test_the_ledgers_own_events_cannot_be_asked_for(ledger: Ledger, kind: str) -> None:
    """Nobody but the ledger writes about the ledger."""
    event = Event(uuid7(), kind, None, None, {})
    assert refusal(ledger, event) == "reserved_type"


def test_large_leaf_is_refused(ledger: Ledger) -> None:
    """A leaf of more than 64 KiB is refused."""
    exchange = uuid7()
    big = {"text": ["x" * 2_000] * 40}
    assert refusal(ledger, decision(exchange, **big)) == "leaf_too_large"


def test_batch_is_taken_whole_or_not_at_all(ledger: Ledger) -> None:
    """One refused event leaves nothing behind, also no trace in the rules."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    broken = replace(outcome(sent), data={"intent": sent.id, "status": "nonsense"})
    assert refusal(ledger, decision(exchange), sent, broken) == "bad_event"
    assert refusal(ledger, sent) == "undecided_intent"


def test_refused_request_does_not_hurt_its_neighbours(ledger: Ledger) -> None:
    """In one group commit the good requests are written, the bad one is refused."""
    good, bad = received(uuid7()), replace(received(uuid7()), type="x")
    one, two, three = ledger.append_many(
        [Request([good]), Request([bad]), Request([received(uuid7())])]
    )
    assert isinstance(two, Refused)
    assert [type(item) for item in (one, three)] == [list, list]
    assert [leaf["n"] for leaf in leaves(ledger)] == list(range(ledger.size))


def test_intent_needs_a_decision_that_allows_it(ledger: Ledger) -> None:
    """No decision, a denial, or a hold that the intent does not name: refused."""
    exchange = uuid7()
    assert refusal(ledger, intent(exchange, "s-1")) == "undecided_intent"
    denied = decision(exchange, "deny")
    assert refusal(ledger, denied, intent(exchange, "s-1")) == "denied_intent"
    held = decision(exchange, "hold", hold={"stage": "request"})
    assert refusal(ledger, held, intent(exchange, "s-1")) == "unapproved_intent"


def test_intent_needs_an_open_session(ledger: Ledger) -> None:
    """An intent of a session nobody opened could never be closed."""
    exchange = uuid7()
    assert refusal(ledger, decision(exchange), intent(exchange, "s-9")) == "unknown_session"


def test_intent_of_another_session_is_refused(ledger: Ledger) -> None:
    """A worker cannot write intents in the name of another."""
    ledger.open_session("s-2", 2)
    exchange = uuid7()
    request = Request([decision(exchange), intent(exchange, "s-1")], session="s-2")
    [result] = ledger.append_many([request])
    assert isinstance(result, Refused)
    assert result.code == "unknown_session"


def test_second_outcome_becomes_late(ledger: Ledger) -> None:
    """An intent has one outcome; what comes later is kept as late."""
    sent = run_exchange(ledger, "s-1")
    ledger.append_batch([outcome(sent, "failed")])
    kinds = [leaf["type"] for leaf in leaves(ledger)]
    assert kinds[-2:] == ["backend.outcome", "outcome.late"]


def test_outcome_of_nothing_is_refused(ledger: Ledger) -> None:
    """An outcome needs its intent."""
    assert refusal(ledger, outcome(intent(uuid7(), "s-1"))) == "unknown_intent"


def test_closed_session_leaves_no_intent_open(ledger: Ledger) -> None:
    """Closing a session gives its intents the outcome unknown; the real one comes late."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    assert ledger.close_session("s-1", "session_lost") == 1
    ledger.append_batch([outcome(sent)])
    last = leaves(ledger)[-3:]
    assert [leaf["type"] for leaf in last] == ["backend.outcome", "session.closed", "outcome.late"]
    assert (last[0]["data"]["status"], last[0]["data"]["cause"]) == ("unknown", "session_lost")
    assert last[0]["principal"] == last[2]["principal"]


def test_clean_stop_closes_what_is_open(ledger: Ledger) -> None:
    """After close no intent is without outcome, and the verifier agrees."""
    exchange = uuid7()
    ledger.append_batch([received(exchange), decision(exchange), intent(exchange, "s-1")])
    ledger.close()
    report = verify(ledger.directory)
    assert (report.verdict, report.open_intents) == (Verdict.SOUND, 0)


# -- holds


def approved(ledger: Ledger, **more: Any) -> HeldExchange:
    held = HeldExchange(**more)
    ledger.append_batch(held.filing())
    review = held.review()
    ledger.append_batch([review, held.settled([review])])
    return held


def test_approval_is_used_once(ledger: Ledger) -> None:
    """A second intent for one approval is refused, also after its outcome."""
    held = run_held_exchange(ledger, "s-1")
    assert refusal(ledger, held.intent("s-1")) == "duplicate_intent"


def test_approval_is_used_once_also_after_a_restart(tmp_path: Path, ledger: Ledger) -> None:
    """The writer knows used approvals again when it starts."""
    held = run_held_exchange(ledger, "s-1")
    ledger.close()
    again = open_ledger(tmp_path)
    again.open_session("s-2", 2)
    assert refusal(again, held.intent("s-2")) == "duplicate_intent"


def test_pending_hold_does_not_pass(ledger: Ledger) -> None:
    """Filed and reviewed is not settled."""
    held = HeldExchange()
    ledger.append_batch([*held.filing(), held.review()])
    assert refusal(ledger, held.intent("s-1")) == "unapproved_intent"


WRONG_INTENTS: dict[str, dict[str, Any]] = {
    "version": {"version": 2},
    "binding": {"binding": "c" * 64},
    "backend": {"backend": "elsewhere"},
    "hold": {"hold": uuid7()},
}


@pytest.mark.parametrize("story", WRONG_INTENTS)
def test_approval_covers_only_what_it_names(ledger: Ledger, story: str) -> None:
    """Another version, binding, backend or hold than approved: refused."""
    held = approved(ledger)
    assert refusal(ledger, held.intent("s-1", **WRONG_INTENTS[story])) == "unapproved_intent"


def test_approval_covers_only_the_approved_bytes(ledger: Ledger) -> None:
    """One other byte than approved: refused."""
    held = approved(ledger)
    held.body += b"!"
    assert refusal(ledger, held.intent("s-1")) == "unapproved_intent"


@pytest.mark.parametrize("state", ["denied", "expired", "withdrawn"])
def test_hold_that_ended_otherwise_does_not_pass(ledger: Ledger, state: str) -> None:
    """Only approved lets pass, and no later settlement changes it."""
    held = HeldExchange()
    review = held.review(answer="deny")
    ledger.append_batch([*held.filing(), review, held.settled([review], state)])
    assert refusal(ledger, held.intent("s-1")) == "unapproved_intent"
    assert refusal(ledger, held.settled([review])) == "hold_settled"


def test_nobody_reviews_their_own_request(ledger: Ledger) -> None:
    """Neither the requester nor the person behind a service account."""
    held = HeldExchange(person="owner-1")
    ledger.append_batch(held.filing())
    assert refusal(ledger, held.review(STAFF)) == "self_review"
    assert refusal(ledger, held.review("owner-1")) == "self_review"
    assert refusal(ledger, held.review("key-2", person=STAFF)) == "self_review"


def test_a_person_counts_once(ledger: Ledger) -> None:
    """Two reviews by one person, also under two principals, are one."""
    held = HeldExchange(approve=2)
    ledger.append_batch([*held.filing(), held.review(person=REVIEWER)])
    assert refusal(ledger, held.review()) == "second_review"
    assert refusal(ledger, held.review("bot-1", person=REVIEWER)) == "second_review"


def test_approval_needs_all_its_reviews(ledger: Ledger) -> None:
    """Fewer approving persons than required, a denial counted, or a review made up: refused."""
    held = HeldExchange(approve=2)
    one, no = held.review(), held.review("reviewer-2", answer="deny")
    ledger.append_batch([*held.filing(), one])
    assert refusal(ledger, held.settled([one])) == "unreviewed_approval"
    ledger.append_batch([no])
    assert refusal(ledger, held.settled([one, no])) == "denied_approval"
    assert refusal(ledger, held.settled([one, held.review("x")])) == "unknown_review"


def test_review_counts_only_where_it_may(ledger: Ledger) -> None:
    """A reviewer outside the threshold's group does not count for it."""
    held = HeldExchange()
    review = held.review(counts_for=["legal"])
    ledger.append_batch([*held.filing(), review])
    assert refusal(ledger, held.settled([review])) == "unreviewed_approval"


def test_new_version_voids_reviews(ledger: Ledger) -> None:
    """An edited hold starts again without reviews; the old version is gone."""
    held = HeldExchange()
    old = held.review()
    ledger.append_batch([*held.filing(), old])
    held.version, held.binding = 2, "d" * 64
    ledger.append_batch(held.filing()[1:])
    assert refusal(ledger, held.settled([old])) == "unknown_review"
    assert refusal(ledger, replace(old, id=uuid7())) == "stale_review"


def test_open_holds_come_back_with_their_content(tmp_path: Path, ledger: Ledger) -> None:
    """After a restart a hold is given with record, reviews, outcome and how far it came."""
    held = run_held_exchange(ledger, "s-1")
    pending = HeldExchange()
    ledger.append_batch(pending.filing())
    ledger.close()
    again = open_ledger(tmp_path)
    found = {item.hold: item for item in again.open_holds()}
    done, waiting = found[held.hold], found[pending.hold]
    assert done.record == waiting.record == b"record:" + CANARY
    assert (done.intent, done.outcome) == (True, "released")
    assert (waiting.intent, waiting.outcome, waiting.settled) == (False, None, None)
    assert done.settled is not None
    assert done.settled["state"] == "approved"
    assert done.reviews[0]["reviewer"] == REVIEWER
    assert done.reviews[0]["reason"] == "reason: " + CANARY.decode()


def test_ended_hold_is_not_given(ledger: Ledger) -> None:
    """A hold whose time is long over is not open."""
    ledger.append_batch(HeldExchange(expires_us=1_000_000).filing())
    assert list(ledger.open_holds()) == []


def test_forgotten_hold_cannot_be_used(ledger: Ledger) -> None:
    """Memory of holds is bounded; a forgotten approval is no approval."""
    moment = ledger.now_us()
    held = approved(ledger, expires_us=moment)
    ledger.now_us = lambda: moment + 8 * 86_400 * 1_000_000
    ledger.forget_old_holds()
    assert refusal(ledger, held.intent("s-1")) == "unapproved_intent"
    assert ledger._state.hold_payloads == {}


# -- one writer


def test_second_writer_is_refused(tmp_path: Path, ledger: Ledger) -> None:
    """The lock keeps a second writer out until the first is gone."""
    with pytest.raises(Locked):
        open_ledger(tmp_path)
    ledger.close()
    open_ledger(tmp_path).close()


# -- when the disk fails


class Disk:
    """Makes one kind of system call fail from the n-th one on, before or after its effect."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, name: str, after: int, *, late: bool
    ) -> None:
        self._real = getattr(os, name)
        self._left = after
        self._late = late
        self.calls = 0
        monkeypatch.setattr(os, name, self)

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        self._left -= 1
        if self._left >= 0:
            return self._real(*arguments)
        if self._late:
            self._real(*arguments)
        raise OSError(errno.EIO, "the disk is broken")


FAULTS = [(name, n, late) for name in ("write", "fdatasync") for n in range(3) for late in (0, 1)]


@pytest.mark.parametrize(("name", "after", "late"), FAULTS)
def test_disk_fault_ends_writing_and_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, after: int, late: int
) -> None:
    """A failed call, before or after it took effect, poisons; recovery keeps what was promised."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    kept = received(uuid7(), principal="first-1")
    [place] = ledger.append_batch([kept])
    with monkeypatch.context() as patch:
        disk = Disk(patch, name, after, late=bool(late))
        with pytest.raises(Poisoned):
            ledger.append_batch([received(uuid7(), principal="second-2")])
        calls = disk.calls
        with pytest.raises(Poisoned):
            ledger.append_batch([received(uuid7())])
        with pytest.raises(Poisoned):
            ledger.write_checkpoint()
        assert disk.calls == calls
    ledger.close()
    again = open_ledger(tmp_path)
    [found] = again.append_batch([kept])
    assert (found.index, found.leaf, found.duplicate) == (place.index, place.leaf, True)
    again.close()
    assert verify(again.directory).verdict is Verdict.SOUND


def test_short_write_ends_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes only a part poisons the writer, and recovery cuts the part."""
    ledger = open_ledger(tmp_path)
    [kept] = ledger.append_batch([received(uuid7())])
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, body: real(fd, body[: len(body) // 2]))
        with pytest.raises(Poisoned):
            ledger.append_batch([received(uuid7())])
    ledger.close()
    again = open_ledger(tmp_path)
    assert again.size >= kept.index
    again.close()
    report = verify(again.directory)
    assert report.verdict is Verdict.SOUND
    assert report.types["audit.recovered"] == 1


def tamper_remove(path: Path) -> None:
    path.unlink()


def tamper_move(path: Path) -> None:
    path.rename(path.with_suffix(".old"))


def tamper_replace(path: Path) -> None:
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body)


def tamper_cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def tamper_grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


@pytest.mark.parametrize("family", ["events", "payloads"])
@pytest.mark.parametrize(
    "tamper", [tamper_remove, tamper_move, tamper_replace, tamper_cut, tamper_grow]
)
def test_live_segment_changed_under_us_ends_writing(
    ledger: Ledger, family: str, tamper: Callable[[Path], None]
) -> None:
    """Evidence is not written into a file that nobody will find, or that somebody changed."""
    ledger.append_batch([received(uuid7())])
    tamper(ledger.directory / family / "000000000000.seg")
    with pytest.raises(Poisoned):
        ledger.append_batch([received(uuid7())])


def test_sealed_segment_that_is_gone_ends_writing(tmp_path: Path) -> None:
    """A repeated append that looks for its first place and finds nothing there stops everything."""
    ledger = open_ledger(tmp_path, segment_bytes=200)
    ledger.append_batch([kept := received(uuid7())])
    ledger.append_batch([received(uuid7())])
    (ledger.directory / "events" / "000000000001.seg").unlink()
    with pytest.raises(Poisoned, match="No such file"):
        ledger.append_batch([kept])
    with pytest.raises(Poisoned):
        ledger.append_batch([received(uuid7())])


def test_failed_rename_of_the_checkpoint_ends_writing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that cannot be published stops the writer too."""
    ledger.append_batch([received(uuid7())])

    def broken(_self: Path, _target: Path) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(Poisoned):
        ledger.write_checkpoint()
