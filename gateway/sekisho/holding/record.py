r"""A hold as bytes: what the ledger keeps of it, sealed, and what the live store keeps.

    sekisho-hold-v1\n  one line of JSON  \n  outgoing bytes  facts bytes  [before bytes]

The outgoing bytes stand in it as they are: what was approved is what leaves, never a rendering of
it. Decoding is strict: an unknown, missing or mistyped member is refused, because a hold that was
read wrongly would be decided wrongly. Only what
holds filed earlier did not have may be missing: they ask for no reason, nobody edited them, their
clients waited, no channel was named, and nothing was let go on in an emergency.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, fields, replace
from typing import Any

import orjson

from sekisho.model.decision import FIRST_STEP, Threshold
from sekisho.model.hold import (
    Hold,
    HoldCard,
    HoldState,
    Justification,
    Proposal,
    ProposalKind,
    Review,
)

_MAGIC = b"sekisho-hold-v1\n"
_HOLD_CONTENT = ("outgoing", "facts", "before")
_NOT_BEFORE: dict[str, Any] = {
    "justify": False,
    "editor": "",
    "narrowed": False,
    "background": False,
    "notify": [],
    "seed": "",
    "seeded_by": "",
    "writers": [],
    "asked_anew": False,
    "office_s": 0,
    "opening": "",
    "edit_step": FIRST_STEP,
    "relief_us": 0,
}
_TOLD_IF_SO = ("opening", "edit_step", "relief_us")  # then a worker of before reads all others
_TUPLES = frozenset({"groups", "roles", "rules", "reasons", "notify", "writers"})


def encode(hold: Hold) -> bytes:
    """The hold as bytes."""
    header = {
        field.name: getattr(hold, field.name)
        for field in fields(hold)
        if field.name not in _HOLD_CONTENT
    }
    for name in _TOLD_IF_SO:
        if header[name] == _NOT_BEFORE[name]:
            del header[name]
    header["thresholds"] = [one.told() for one in hold.thresholds]
    for name in _HOLD_CONTENT:
        if name != "before" or hold.before:
            header[f"{name}_bytes"] = len(getattr(hold, name))
    content = (hold.outgoing, hold.facts, hold.before)
    return b"".join((_MAGIC, orjson.dumps(header), b"\n", *content))


def decode(record: bytes) -> Hold:
    """The hold again. Raises ValueError for anything `encode` would not have written."""
    if not record.startswith(_MAGIC):
        raise ValueError("not a hold record of a known version")
    line, newline, content = record[len(_MAGIC) :].partition(b"\n")
    if not newline:
        raise ValueError("hold record is cut short")
    header = _object(line)
    header.setdefault("before_bytes", 0)  # of what nobody edited there is no version before
    lengths = [_typed(header.pop(f"{name}_bytes", None), int) for name in _HOLD_CONTENT]
    if min(lengths) < 0 or sum(lengths) != len(content):
        raise ValueError("hold record has the wrong length")
    for name, length in zip(_HOLD_CONTENT, lengths, strict=True):
        header[name], content = content[:length], content[length:]
    return _build_hold(header)


def _build_hold(members: dict[str, Any]) -> Hold:
    values: dict[str, Any] = {}
    for name, value in _NOT_BEFORE.items():
        members.setdefault(name, value)
    for field in fields(Hold):
        if field.name not in members:
            raise ValueError(f"hold record lacks {field.name}")
        value = members.pop(field.name)
        if field.name in _TUPLES:
            values[field.name] = _strings(value)
        elif field.name == "thresholds":
            values[field.name] = _thresholds(value)
        else:
            values[field.name] = _typed(value, _KINDS[str(field.type)])
    if members:
        raise ValueError(f"hold record has unknown members: {', '.join(sorted(members))}")
    return Hold(**values)


def encode_card(hold: Hold) -> bytes:
    """What lists may show of a hold; holds no content."""
    left_out = {"id", "state", "justified", "open_step", "read_us"}
    if not hold.relief_us:
        left_out |= {"relief_us"}
    card: dict[str, Any] = {
        field.name: getattr(hold, field.name)
        for field in fields(HoldCard)
        if field.name not in left_out | {"outgoing_bytes"}
    }
    card["thresholds"] = [one.told() for one in hold.thresholds]
    return orjson.dumps({"id": hold.id, **card, "outgoing_bytes": len(hold.outgoing)})


def decode_card(
    card: bytes,
    state: str,
    *,
    justified: bool = False,
    open_step: int = FIRST_STEP,
    read_us: int = 0,
) -> HoldCard:
    """The card with the state the hold is in now, whether a reason was given, whose turn it is, and
    when that was read.
    """
    members = _object(card)
    members["rules"] = _strings(members.get("rules"))
    for name in ("groups", "notify"):  # cards of before lack them
        members[name] = _strings(members.get(name, []))
    members["thresholds"] = _thresholds(members.get("thresholds"))
    try:
        return HoldCard(
            state=HoldState(state),
            justified=justified,
            open_step=open_step,
            read_us=read_us,
            **members,
        )
    except TypeError as error:
        raise ValueError("hold card has unknown or missing members") from error


def encode_review(review: Review) -> bytes:
    """A review as bytes, reason included."""
    return orjson.dumps(_said(review))


def decode_review(content: bytes) -> Review:
    """The review again. Raises ValueError."""
    return _review(_object(content))


def encode_justification(justification: Justification) -> bytes:
    """A justification as bytes, reason included."""
    return orjson.dumps(asdict(justification))


def decode_justification(content: bytes) -> Justification:
    """The justification again. Raises ValueError."""
    return _justification(_object(content))


def encode_proposal(proposal: Proposal) -> bytes:
    """A proposal as bytes, with its review, reason or new version of the hold."""
    said = asdict(replace(proposal, revised=None))
    if proposal.review is not None:
        said["review"] = _said(proposal.review)
    if proposal.revised is not None:
        said["revised"] = base64.b64encode(encode(proposal.revised)).decode()
    return orjson.dumps(said)


def decode_proposal(content: bytes, at_us: int) -> Proposal:
    """The proposal again, with the time the store accepted it. Raises ValueError."""
    members = _object(content)
    review, why = members.pop("review", None), members.pop("justification", None)
    revised = members.pop("revised", None)
    members["at_us"] = at_us
    try:
        members["kind"] = ProposalKind(_typed(members.get("kind"), str))
        return Proposal(
            review=None if review is None else _review(review),
            justification=None if why is None else _justification(why),
            revised=None if revised is None else decode(base64.b64decode(_typed(revised, str))),
            **members,
        )
    except TypeError as error:
        raise ValueError("proposal has unknown or missing members") from error


def _said(review: Review) -> dict[str, Any]:
    """A review of the first step says nothing of steps, as reviews were written before, and one of
    who was asked nothing of relief.
    """
    said = asdict(review)
    if review.step == FIRST_STEP:
        del said["step"]
    if not review.relief:
        del said["relief"]
    return said


def _review(members: Any) -> Review:
    values = dict(_typed(members, dict))
    counts_for = _strings(values.pop("counts_for", None))
    try:
        return Review(counts_for=counts_for, **values)
    except TypeError as error:
        raise ValueError("review has unknown or missing members") from error


def _justification(members: Any) -> Justification:
    try:
        return Justification(**_typed(members, dict))
    except TypeError as error:
        raise ValueError("justification has unknown or missing members") from error


def _object(content: bytes) -> dict[str, Any]:
    try:
        return dict(_typed(orjson.loads(content), dict))
    except orjson.JSONDecodeError as error:
        raise ValueError("not JSON") from error


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(_typed(item, str) for item in _typed(value, list))


def _thresholds(value: Any) -> tuple[Threshold, ...]:
    return tuple(
        Threshold(
            _typed(item.get("reviewers"), str),
            _typed(item.get("approve"), int),
            _typed(item.get("deny"), int),
            _typed(item.get("step", FIRST_STEP), int),
            _strings(item.get("relief", [])),
        )
        for item in (_typed(item, dict) for item in _typed(value, list))
    )


_KINDS: dict[str, type[Any]] = {"str": str, "int": int, "bool": bool, "bytes": bytes}


def _typed(value: Any, kind: type[Any]) -> Any:
    """`value` if it is exactly of `kind`: true is not 1 here."""
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value
