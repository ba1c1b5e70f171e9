"""JSON Schemas (draft 2020-12) of every event as it stands in the ledger, made from the tables.

They are for readers with other tools: import, search, alarms. They describe single leaves as this
writer writes them; what JSON Schema cannot say is in `UNSAID`. The verifier does not use them.
"""

from __future__ import annotations

from sekisho_audit.canon import INT_MAX
from sekisho_audit.events import LEAF_VERSION, PAYLOADS_MAX, TYPES
from sekisho_audit.kinds import (
    KINDS,
    NUMBER,
    PAYLOAD_NAME,
    PERSON,
    PSEUDONYM,
    SCHEMAS_ID,
    TEXT,
    UUID,
    UUID7,
    EventType,
    Field,
    Schema,
    closed,
    reference,
    values,
)
from sekisho_audit.retention import SHELF

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = 1
_HASH = "[0-9a-f]{64}"

UNSAID = (
    "The bytes of a leaf: sorted keys, no blanks, one spelling of every string, 65,535 at most.",
    "That `7.0` is no whole number: JSON Schema takes it for 7.",
    "That no two payloads of an event have the same name.",
    "Everything between events: indexes without gaps, what may follow what, who may review.",
    "That commitments, hashes and pseudonyms are those of what they stand for.",
)


def _said(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text}


def _matching(pattern: str, text: str) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$", "description": text}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [{"type": "null"}, schema]}


def _named(name: str, *, needed: bool) -> Schema:
    return reference(name) if needed else _or_null(reference(name))


_PAYLOAD: Schema = {
    **closed(
        {
            "name": _matching(PAYLOAD_NAME, "Which content of the event it is."),
            "len": {
                "type": "integer",
                "minimum": 0,
                "maximum": INT_MAX,
                "description": "Length of the exact bytes. Unit: bytes.",
            },
            "commit": _matching(_HASH, "Keyed commitment to the exact bytes, in hex."),
            "kref": _matching(
                f"{PSEUDONYM}/{SHELF}", "Whose key, of which month or day and class, seals it."
            ),
        },
        {
            "ct": _matching(_HASH, "SHA-256 of what is stored, in hex."),
            "alg": _said(TEXT.schema, "How what is stored was sealed."),
        },
    ),
    "dependentRequired": {"ct": ["alg"], "alg": ["ct"]},
    "description": "Content of an event: committed to, and stored if `ct` and `alg` are there.",
}

_SHARED: dict[str, Schema] = {
    "uuid": _matching(UUID, "A UUID in lower case."),
    "uuid7": _matching(UUID7, "A UUID of version 7 in lower case."),
    "payload": _PAYLOAD,
}

ENVELOPE: dict[str, str] = {
    "v": "Version of the leaf's form.",
    "id": "Id of the event, unique in the ledger.",
    "log": "The ledger's origin, as in its checkpoints.",
    "n": "Index of the event in the ledger, counted from 0.",
    "boot": "Id of the writer's start, announced by `audit.boot`.",
    "ts": "When it was written; for people, never for order. Unit: microseconds since 1970, UTC.",
    "type": "What happened.",
    "exchange": "Id of the exchange it belongs to; null outside of exchanges.",
    "principal": "On whose behalf; null if nobody is known, which no type forbids.",
    "actor": "Who acted, if that is another person than the principal; else null.",
    "data": "What is told of it in the open.",
    "pl": "Content, committed to and perhaps stored.",
}


def _field(field: Field) -> Schema:
    kind = field.kind
    text = f"{field.means} Unit: {field.unit}." if field.unit else field.means
    return _said(reference(kind.name) if kind.name else kind.schema, text)


def _payloads(known: EventType) -> Schema:
    needed = [
        {"contains": {"properties": {"name": {"const": name}}, "required": ["name"]}}
        for name in sorted(known.payloads)
    ]
    all_there = {"allOf": needed} if needed else {}
    return {
        "type": "array",
        "items": reference("payload"),
        "maxItems": PAYLOADS_MAX,
        **all_there,
    }


def event_schema(kind: str, known: EventType) -> Schema:
    """The schema of the leaf of one type of event."""
    required = {name: _field(field) for name, field in known.required.items()}
    optional = {name: _field(field) for name, field in known.optional.items()}
    index = {"type": "integer", "minimum": 0, "maximum": INT_MAX}
    members: dict[str, Schema] = {
        "v": {"const": LEAF_VERSION},
        "id": reference("uuid"),
        "log": {"type": "string", "minLength": 1},
        "n": index,
        "boot": reference("uuid"),
        "ts": reference(NUMBER.name),
        "type": {"const": kind},
        "exchange": _named("uuid7", needed=known.exchange),
        "principal": _named(PERSON.name, needed=False),
        "actor": _named(PERSON.name, needed=known.actor),
        "data": closed(required, optional),
        "pl": _payloads(known),
    }
    told = {name: _said(schema, ENVELOPE[name]) for name, schema in members.items()}
    return {"$id": f"urn:sekisho:event:{kind}:{VERSION}", "description": known.when, **closed(told)}


def document() -> Schema:
    """One file with the schemas of all types; an event fits exactly one of them."""
    types = {kind: event_schema(kind, known) for kind, known in sorted(TYPES.items())}
    kinds = {kind.name: _said(kind.schema, kind.says) for kind in KINDS}
    return {
        "$schema": DIALECT,
        "$id": SCHEMAS_ID,
        "title": "An event of a Sekisho ledger",
        "description": "Generated from the tables of sekisho_audit. It does not say: "
        + " ".join(UNSAID),
        "oneOf": [{"$ref": schema["$id"]} for schema in types.values()],
        "$defs": {**_SHARED, **kinds, **values(), **types},
    }
