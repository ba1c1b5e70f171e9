"""One exchange as one document, grown leaf by leaf: what its principal may know of it.

It holds what leaves hold: pseudonyms, ids, rules, figures, receipts; never content. Everything in
it is bounded, because an exchange of years, or a reader who looks a thousand times, must not make
an answer that nobody can send. `named` puts principal ids in the place of pseudonyms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sekisho_audit.usage import charge_of

Leaf = Mapping[str, Any]
Document = dict[str, Any]

DECISIONS_MAX = 8  # the last ones: policy is asked at three stages, and again before sending
HOLDS_BEFORE_MAX = 3  # an exchange has one of its request and one of its answer
REASONS_MAX = 32
WORD_CHARS_MAX = 512
SENDS_MAX = 16  # attempts of one exchange are few; the first ones are kept
GRANTS_MAX = 64  # calls that one answer can have
REVIEWS_MAX = 64  # what a settlement can cite
READS_MAX = 128  # different readers and purposes; each line counts how often
ERASED = "erased"


def begin(leaf: Leaf) -> Document:
    """The document of an exchange whose first leaf this is."""
    return {
        "id": leaf["exchange"],
        "principal": leaf["principal"],
        "begun_us": leaf["ts"],
        "received": None,
        "decisions": [],
        "hold": None,
        "sends": [],
        "refused": None,
        "cancelled": None,
        "checked": None,
        "appeals": [],
        "reads": [],
    }


def grow(document: Document, leaf: Leaf, digest: str) -> None:
    """Take the next leaf of the exchange; `digest` is its hash, as receipts name it."""
    rule = _RULES.get(leaf["type"])
    if rule is not None:
        rule(document, leaf, digest)


def _receipt(leaf: Leaf, digest: str) -> Document:
    return {"index": leaf["n"], "leaf": digest}


def _received(document: Document, leaf: Leaf, digest: str) -> None:
    data = leaf["data"]
    document["received"] = {
        **{name: _short(data[name]) for name in ("endpoint", "model", "credential")},
        "stream": data["stream"],
        "bytes": data["bytes"],
        "at_us": leaf["ts"],
        "receipt": _receipt(leaf, digest),
    }


def _decided(document: Document, leaf: Leaf, _digest: str) -> None:
    data = leaf["data"]
    document["decisions"].append(
        {
            "stage": _short(data["stage"]),
            "effect": data["effect"],
            "rules": [_short(rule) for rule in data["rules"][:REASONS_MAX]],
            "reasons": [
                {"code": _short(reason["code"]), "msg": _short(reason["msg"])}
                for reason in data["reasons"][:REASONS_MAX]
            ],
            "revision": _short(data["revision"]),
            "at_us": leaf["ts"],
        }
    )
    if risk := _risk(data.get("obligations", {})):
        document["decisions"][-1]["risk"] = risk
    del document["decisions"][:-DECISIONS_MAX]
    # As `draft`: told only where it is so, so that documents of before stay what they are.
    if "drafts_max" in data.get("obligations", ()):
        document["draft_wanted"] = True


def _filed(document: Document, leaf: Leaf, _digest: str) -> None:
    data, before = leaf["data"], document["hold"]
    if before is not None and before["id"] != _short(data["hold"]):
        # The hold of the answer follows that of the request; what is current stands in `hold`.
        document["holds_before"] = [*_holds_before(document), before][-HOLDS_BEFORE_MAX:]
    document["hold"] = {
        "id": _short(data["hold"]),
        "version": data["version"],
        "stage": data["stage"],
        "state": "pending",
        "filed_us": leaf["ts"],
        "expires_us": data["expires_us"],
        "settled_us": None,
        "delivered_us": None,
        "reviews": [],
        **({"risk": data["risk"]} if data.get("risk") else {}),
    }


def _risk(obligations: Mapping[str, Any]) -> int:
    """The highest risk of the holds that a decision asks for; 0 if it names none."""
    later = obligations.get("hold_later", ())
    terms = [obligations.get("hold"), *(later if isinstance(later, list) else ())]
    risks = [one.get("risk") for one in terms if isinstance(one, Mapping)]
    return max((one for one in risks if type(one) is int), default=0)


def _holds_before(document: Document) -> list[Document]:
    found: list[Document] = document.get("holds_before", [])
    return found


def _hold_of(document: Document, leaf: Leaf) -> Document | None:
    for hold in (document["hold"], *_holds_before(document)):
        if hold is not None and hold["id"] == leaf["data"]["hold"]:
            found: Document = hold
            return found
    return None


def _reviewed(document: Document, leaf: Leaf, _digest: str) -> None:
    hold, data = _hold_of(document, leaf), leaf["data"]
    if hold is not None and len(hold["reviews"]) < REVIEWS_MAX:
        said = {"by": leaf["actor"], "decision": data["decision"], "at_us": leaf["ts"]}
        if data.get("person") not in {None, leaf["actor"]}:
            said["in_place_of"] = data["person"]
        said |= {name: data[name] for name in ("step", "relief") if name in data}
        hold["reviews"].append(said)
    known = {(line["by"], line["purpose"]) for line in document["reads"]}
    if (leaf["actor"], "review") not in known:
        # Whoever answers a hold was shown it, also where showing was not recorded by itself.
        _note_read(document, leaf, "review", "outgoing")


def _justified(document: Document, leaf: Leaf, _digest: str) -> None:
    hold = _hold_of(document, leaf)
    if hold is not None:
        hold["justified"] = {"by": leaf["actor"], "at_us": leaf["ts"]}


def _settled(document: Document, leaf: Leaf, _digest: str) -> None:
    hold = _hold_of(document, leaf)
    if hold is not None:
        hold["state"], hold["settled_us"] = leaf["data"]["state"], leaf["ts"]


def _released(document: Document, leaf: Leaf, digest: str) -> None:
    hold = _hold_of(document, leaf)
    if hold is not None:
        hold["released"] = {"at_us": leaf["ts"], "receipt": _receipt(leaf, digest)}


def _delivered(document: Document, leaf: Leaf, _digest: str) -> None:
    hold = _hold_of(document, leaf)
    if hold is not None:
        hold["delivered_us"] = leaf["ts"]


def _sent(document: Document, leaf: Leaf, digest: str) -> None:
    data = leaf["data"]
    if len(document["sends"]) >= SENDS_MAX:
        return
    aside = data.get("charged")
    document["sends"].append(
        {
            "intent": leaf["id"],
            "attempt": data["attempt"],
            "backend": _short(data["backend"]),
            "model": _short(data["model"]),
            "at_us": leaf["ts"],
            "set_aside": aside and {name: aside[name] for name in ("tokens", "spend_micros")},
            "receipt": _receipt(leaf, digest),
            "outcome": None,
            "cut": None,
        }
    )


def _send_of(document: Document, leaf: Leaf) -> Document | None:
    for send in document["sends"]:
        if send["intent"] == leaf["data"]["intent"]:
            found: Document = send
            return found
    return None


def _ended(document: Document, leaf: Leaf, digest: str) -> None:
    send, data = _send_of(document, leaf), leaf["data"]
    if send is None:
        return
    charged = None
    if send["set_aside"] is not None:
        requests, tokens, spend = charge_of(send["set_aside"], data)
        charged = {"requests": requests, "tokens": tokens, "spend_micros": spend}
    send["outcome"] = {
        "status": data["status"],
        "finish": _short(data.get("finish")),
        "cause": _short(data.get("cause")),
        "charged": charged,
        "at_us": leaf["ts"],
        "receipt": _receipt(leaf, digest),
    }
    if data.get("chunks"):
        send["outcome"]["chunks"] = data["chunks"]


def _cut(document: Document, leaf: Leaf, _digest: str) -> None:
    send = _send_of(document, leaf)
    if send is not None:
        send["cut"] = _short(leaf["data"]["cause"])


def _refused(document: Document, leaf: Leaf, _digest: str) -> None:
    data = leaf["data"]
    document["refused"] = {
        "code": _short(data["code"]),
        "status": data["status"],
        "stage": _short(data["stage"]),
        "at_us": leaf["ts"],
    }


def _cancelled(document: Document, leaf: Leaf, _digest: str) -> None:
    document["cancelled"] = {"stage": _short(leaf["data"]["stage"]), "at_us": leaf["ts"]}


def _checked(document: Document, leaf: Leaf, _digest: str) -> None:
    document["checked"] = {"effect": leaf["data"]["effect"], "at_us": leaf["ts"]}


def _appealed(document: Document, leaf: Leaf, digest: str) -> None:
    # The rules let an exchange have a few of them only.
    document["appeals"].append(
        {
            "id": _short(leaf["data"]["appeal"]),
            "by": leaf["actor"],
            "at_us": leaf["ts"],
            "receipt": _receipt(leaf, digest),
        }
    )


def _draft(document: Document, leaf: Leaf, digest: str) -> None:
    document["draft"] = {
        "decision": leaf["data"]["decision"],
        "by": leaf["actor"],
        "at_us": leaf["ts"],
        "receipt": _receipt(leaf, digest),
    }


def _granted(document: Document, leaf: Leaf, digest: str) -> None:
    # As `draft`: told only where there are some, so that documents of before stay what they are.
    uses = document.setdefault("grants", [])
    if len(uses) < GRANTS_MAX:
        uses.append(
            {
                "grant": _short(leaf["data"]["grant"]),
                "remaining": leaf["data"]["remaining"],
                "at_us": leaf["ts"],
                "receipt": _receipt(leaf, digest),
            }
        )


def _opened(document: Document, leaf: Leaf, digest: str) -> None:
    # As `grants`: in an emergency nobody else looked at it before, and everybody sees that.
    uses = document.setdefault("break_glass", [])
    if len(uses) < GRANTS_MAX:
        opening = _short(leaf["data"]["opening"])
        uses.append({"opening": opening, "at_us": leaf["ts"], "receipt": _receipt(leaf, digest)})


def _read(document: Document, leaf: Leaf, _digest: str) -> None:
    _note_read(document, leaf, leaf["data"]["purpose"], _short(leaf["data"]["part"]))


def _note_read(document: Document, leaf: Leaf, purpose: str, part: Any) -> None:
    """One line for each reader, purpose and part, with the first time, the last and how often."""
    for line in document["reads"]:
        if (line["by"], line["purpose"], line["part"]) == (leaf["actor"], purpose, part):
            line["last_us"] = leaf["ts"]
            line["count"] += 1
            return
    if len(document["reads"]) >= READS_MAX:
        return
    times = {"first_us": leaf["ts"], "last_us": leaf["ts"], "count": 1}
    document["reads"].append({"by": leaf["actor"], "purpose": purpose, "part": part, **times})


def _short(value: Any) -> Any:
    return value[:WORD_CHARS_MAX] if isinstance(value, str) else value


_RULES: Mapping[str, Callable[[Document, Leaf, str], None]] = {
    "request.received": _received,
    "policy.decision": _decided,
    "hold.filed": _filed,
    "hold.review": _reviewed,
    "hold.justified": _justified,
    "hold.settled": _settled,
    "hold.released": _released,
    "hold.delivered": _delivered,
    "backend.intent": _sent,
    "backend.outcome": _ended,
    "delivery.cut": _cut,
    "exchange.refused": _refused,
    "exchange.cancelled": _cancelled,
    "exchange.checked": _checked,
    "exchange.appealed": _appealed,
    "draft.answered": _draft,
    "grant.used": _granted,
    "break_glass.used": _opened,
    "record.read": _read,
}


def named(document: Document, origin: str, name_of: Callable[[str], str | None]) -> Document:
    """The document for its reader: ids for pseudonyms (`erased` where nobody is behind one any
    more), and the ledger's origin in every receipt. The document itself is used up.
    """

    def name(pseudonym: str) -> str:
        return name_of(pseudonym) or ERASED

    document["principal"] = name(document["principal"])
    holds = [hold for hold in (document["hold"], *_holds_before(document)) if hold is not None]
    drafts = filter(None, [document.get("draft")])
    lines = [*document["appeals"], *document["reads"], *drafts]
    for hold in holds:
        lines += hold["reviews"]
        lines += filter(None, [hold.get("justified")])
    for line in lines:
        line["by"] = name(line["by"])
        if "in_place_of" in line:
            line["in_place_of"] = name(line["in_place_of"])
    bearers = [document["received"], *document["appeals"], *document["sends"]]
    bearers += [send["outcome"] for send in document["sends"]]
    bearers += [hold.get("released") for hold in holds]
    bearers += [document.get("draft"), *document.get("grants", ())]
    bearers += document.get("break_glass", ())
    for bearer in bearers:
        if bearer is not None:
            bearer["receipt"] = {"origin": origin, **bearer["receipt"]}
    return document
