"""An export as its asker sees it: begin it, take its events one after the other, have it signed.

What auditd tells is believed no further than it leads: every event is led to the checkpoint that it
sent, by whoever makes something of it (`exports/bundle.py`) or here (`events`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sekisho_audit.bundle_keys import UnknownKey, chain_of, rotation_in
from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import BadNote, VerifierKey, open_note
from sekisho_audit.disclosed import commitment, open_stored
from sekisho_audit.exports.bundle import BadSelection, Export, KeyChange, Pinned, Proved
from sekisho_audit.exports.report import Text
from sekisho_audit.exports.tables import Stored
from sekisho_audit.key_chain import Rotation
from sekisho_audit.officer_client import OfficerClient
from sekisho_audit.tree import (
    HASH_BYTES,
    CompactRange,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from sekisho_audit.wire import BLOBS_MAX

EXCHANGES_AT_ONCE = 64
EXCHANGES_MAX = 1_024  # whoever is behind them sees that they were disclosed


class TooMany(Exception):
    """More than may be disclosed at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is exported, by whom, and why."""

    query: str
    purpose: str
    ticket: str
    format: str
    asked_by: str


def hashes(raw: bytes) -> Iterator[bytes]:
    """The hashes that stand one behind the other in `raw`."""
    return (raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES))


class ExportClient:
    """One export. Methods raise OfficerError, BadSelection, BadProof, BadNote."""

    def __init__(self, client: OfficerClient, key: VerifierKey | None, asked: Asked) -> None:
        """`key`: the one that you keep, in force or replaced; without one, what auditd says is
        believed.
        """
        self._client = client
        self._asked = asked
        question = {
            "op": "export",
            "query": asked.query,
            "purpose": asked.purpose,
            "ticket": asked.ticket,
            "format": asked.format,
        }
        self.told, _ = client.ask(question)
        held = VerifierKey.parse(self.told["vkey"])
        note = self.told["note"].encode()
        self._checkpoint = open_note(note, held)
        self._changes = list(self._key_changes())
        rotations = [rotation_in(decode(one.proved.event.body)) for one in self._changes]
        try:
            self._chain = chain_of(rotations, (), held, key or held)
        except UnknownKey as error:
            raise BadNote(
                "auditd signs with a key that was never handed over to from the one you keep: "
                "ledger and keys were replaced, or --key is of another ledger"
            ) from error
        if self._chain.current != held:
            raise BadNote("auditd signs with a key that was replaced")
        self._check_before(rotations)
        self.key = held

    def events(self) -> Iterator[Proved]:
        """The events that were found, each led to the checkpoint; then what they are is compared
        with the event on record.
        """
        root, count = CompactRange(), self.told["events"]
        for proved in self._every(0, count):
            root.append(leaf_hash(proved.event.body))
            yield proved
        said = decode(self.own().event.body)["data"]
        if (said["events"], said["root"]) != (root.size, root.root().hex()):
            raise BadSelection("auditd sent other events than it recorded")

    def own(self) -> Proved:
        """The event of the export itself."""
        [proved] = self._every(self.told["events"], 1)
        if proved.event.index != self.told["index"]:
            raise BadSelection("auditd names another event as that of the export")
        return proved

    def _every(self, first: int, count: int) -> Iterator[Proved]:
        last = -1
        while count > 0:
            page = self._page(first)[:count]
            if not page:
                raise BadSelection("auditd sent fewer events than it announced")
            for proved in page:
                if proved.event.index <= last:
                    raise BadSelection("auditd sent events out of order")
                last = proved.event.index
                yield proved
            first, count = first + len(page), count - len(page)

    def _page(self, first: int) -> list[Proved]:
        answer, (bodies, paths) = self._client.ask({"op": "export_page", "first": first})
        return self._led(answer, bodies, paths)

    def _led(self, answer: Mapping[str, Any], bodies: bytes, paths: bytes) -> list[Proved]:
        """Events with their paths, led to the checkpoint. Raises BadProof."""
        lengths = iter(answer["lengths"])
        found, body_at, path_at = [], 0, 0
        for index, size in zip(answer["indices"], lengths, strict=False):
            body = bodies[body_at : body_at + size]
            path = []
            for _ in range(next(lengths)):
                path.append(paths[path_at : path_at + HASH_BYTES])
                path_at += HASH_BYTES
            body_at += size
            checkpoint = self._checkpoint
            verify_inclusion(leaf_hash(body), index, checkpoint.size, path, checkpoint.root)
            found.append(Proved(Stored(index, body), path))
        return found

    def _key_changes(self) -> Iterator[KeyChange]:
        """The changes of keys, so that a key that was kept leads to the one in force."""
        first = 0
        while self.told.get("changes", 0) > first:
            answer, (bodies, paths, raw) = self._client.ask({"op": "export_keys", "first": first})
            since = hashes(raw)
            page = self._led(answer, bodies, paths)
            if not page:
                raise BadSelection("auditd sent fewer changes of keys than it announced")
            for proved, count in zip(page, answer["since"], strict=True):
                yield KeyChange(proved, [next(since) for _ in range(count)])
            first += len(page)

    def _check_before(self, rotations: Sequence[Rotation]) -> None:
        """The checkpoint continues what both keys signed. Raises BadProof."""
        now = self._checkpoint
        for one, change in zip(rotations, self._changes, strict=True):
            before = one.before
            verify_consistency(before.size, now.size, before.root, now.root, change.since)

    # -- for a bundle

    def export(self, pinned: bytes | None, disclosed: Disclosed | None) -> Export:
        """What a bundle is made from."""
        told, asked = self.told, self._asked
        return Export(
            key=self.key,
            query=asked.query,
            purpose=asked.purpose,
            ticket=asked.ticket,
            asked_by=asked.asked_by,
            event=self.own(),
            commit_key=bytes.fromhex(told["commit_key"]),
            note=told["note"].encode(),
            erased=told["erased"],
            forgotten=told["forgotten"],
            pinned=None if pinned is None else self._pinned(pinned),
            changes=self._changes,
            keys=None if disclosed is None else disclosed.keys,
            sealed={} if disclosed is None else disclosed.sealed,
            texts=() if disclosed is None else disclosed.texts,
        )

    def _pinned(self, note: bytes) -> Pinned:
        size = self._chain.open(note).size
        _, [raw] = self._client.ask({"op": "export_since", "size": size})
        return Pinned(note, size, list(hashes(raw)))

    def sign(self, manifest: bytes) -> bytes:
        """The signed note over a manifest."""
        answer, _ = self._client.ask({"op": "export_sign"}, [manifest])
        return str(answer["note"]).encode()

    def disclosed(self, leaves: Sequence[Mapping[str, Any]]) -> Disclosed:
        """Keys, sealed bytes and texts of everything stored of these events' exchanges."""
        exchanges = list(dict.fromkeys(leaf["exchange"] for leaf in leaves if leaf["exchange"]))
        if len(exchanges) > EXCHANGES_MAX:
            raise TooMany(
                f"content of {len(exchanges)} exchanges is more than is disclosed at once "
                f"({EXCHANGES_MAX}): narrow the query"
            )
        keys: dict[str, Any] = {}
        for at in range(0, len(exchanges), EXCHANGES_AT_ONCE):
            question = {
                "op": "disclose",
                "keys": True,
                "purpose": self._asked.purpose,
                "ticket": self._asked.ticket,
                "exchanges": exchanges[at:][:EXCHANGES_AT_ONCE],
            }
            answer, _ = self._client.ask(question)
            keys = _joined(keys, answer["disclosure"])
        known = {(leaf["n"], entry["name"]): entry for leaf in leaves for entry in leaf["pl"]}
        keys["payloads"] = [
            one for one in keys.get("payloads", ()) if (one["index"], one["name"]) in known
        ]
        stored = [one for one in keys["payloads"] if one["key"] is not None]
        sealed = self._sealed([one["ct"] for one in stored])
        by_index = {leaf["n"]: leaf for leaf in leaves}
        texts = [
            _text(one, by_index[one["index"]], known[one["index"], one["name"]], sealed[one["ct"]])
            for one in stored
            if one["ct"] in sealed
        ]
        return Disclosed(keys, sealed, texts)

    def _sealed(self, digests: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        waiting = list(dict.fromkeys(digests))
        while waiting:
            question = {"op": "export_sealed", "digests": waiting[:BLOBS_MAX]}
            answer, blobs = self._client.ask(question)
            found.update(zip(answer["digests"], blobs, strict=True))
            del waiting[: answer["told"]]
        return found


@dataclass(frozen=True, slots=True)
class Disclosed:
    """A disclosure file, the sealed bytes that it opens, and what they say."""

    keys: Mapping[str, Any]
    sealed: Mapping[str, bytes]
    texts: Sequence[Text]


def _joined(keys: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    if not keys:
        return dict(more)
    return {
        **keys,
        "keys": [*keys["keys"], *more["keys"]],
        "payloads": [*keys["payloads"], *more["payloads"]],
    }


def _text(
    one: Mapping[str, Any], leaf: Mapping[str, Any], entry: Mapping[str, Any], sealed: bytes
) -> Text:
    content = open_stored(bytes.fromhex(one["key"]), leaf["id"], one["name"], sealed)
    made = commitment(bytes.fromhex(one["commit"]), content)
    file = f"disclosed/{leaf['n']}.{one['name']}"
    whole = made == entry["commit"]
    return Text(leaf["n"], leaf["exchange"], one["name"], file, content, whole)
