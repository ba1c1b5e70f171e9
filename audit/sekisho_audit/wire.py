"""Messages on auditd's socket, for both ends.

A frame is: length of what follows (4 bytes, big endian), length of the JSON part (4 bytes), JSON,
blobs one after the other. The JSON member `blobs` lists their lengths, so content crosses the
socket as it is, and once, however many payloads name it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import orjson

from sekisho_audit.events import Event, Payload

_HEAD = struct.Struct(">II")
_LENGTH_BYTES = 4
# A body and an answer of the largest size with room for the rest; bounds memory per connection.
FRAME_BYTES_MAX = 48 * 1024 * 1024
BLOBS_MAX = 64
EVENTS_MAX = 64
# The kernel keeps 108 bytes for the path of a Unix socket.
SOCKET_PATH_BYTES_MAX = 100

Message = tuple[dict[str, Any], list[bytes]]


class Malformed(ValueError):
    """Bytes or a message that the protocol does not allow; the connection is closed."""


def check_socket_path(path: str) -> None:
    """Malformed unless the kernel can take this path."""
    if len(path.encode()) > SOCKET_PATH_BYTES_MAX:
        raise Malformed(
            f"the socket path has more than {SOCKET_PATH_BYTES_MAX} bytes; choose a shorter "
            f"data_dir: {path}"
        )


def encode(message: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """One frame. `message` gets the member `blobs` if there are any.

    Raises Malformed for what the other end would refuse: sent, it would end the connection.
    """
    if len(blobs) > BLOBS_MAX:
        raise Malformed(f"a message with {len(blobs)} blobs is too large")
    if blobs:
        message["blobs"] = [len(blob) for blob in blobs]
    text = orjson.dumps(message)
    size = _LENGTH_BYTES + len(text) + sum(map(len, blobs))
    if size > FRAME_BYTES_MAX:
        raise Malformed(f"a message of {size} bytes is too large")
    return b"".join((_HEAD.pack(size, len(text)), text, *blobs))


class Splitter:
    """Cuts the byte stream of one connection into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes. Raises Malformed."""
        if self._rest:
            self._rest += data
            source: bytes | bytearray = self._rest
        else:
            source = data
        messages, start = [], 0
        while len(source) - start >= _HEAD.size:
            size, text_size = _HEAD.unpack_from(source, start)
            if size > FRAME_BYTES_MAX or text_size + _LENGTH_BYTES > size:
                raise Malformed("impossible frame length")
            end = start + _LENGTH_BYTES + size
            if end > len(source):
                break
            messages.append(_decode(bytes(source[start + _HEAD.size : end]), text_size))
            start = end
        if source is self._rest:
            del self._rest[:start]
        else:
            self._rest += source[start:]
        return messages


def _decode(body: bytes, text_size: int) -> Message:
    try:
        message = orjson.loads(memoryview(body)[:text_size])
    except orjson.JSONDecodeError as error:
        raise Malformed("the JSON part does not parse") from error
    if type(message) is not dict:
        raise Malformed("the JSON part is not an object")
    sizes = message.get("blobs", ())
    if not isinstance(sizes, (list, tuple)) or len(sizes) > BLOBS_MAX:
        raise Malformed("`blobs` is not a short list")
    blobs, start = [], text_size
    for size in sizes:
        if type(size) is not int or size < 0 or start + size > len(body):
            raise Malformed("a blob is longer than its frame")
        blobs.append(body[start : start + size])
        start += size
    if start != len(body):
        raise Malformed("the frame is longer than its parts")
    return message, blobs


def pack_events(events: Sequence[Event]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Events as JSON, with their content as blobs; one blob for one object in memory."""
    blobs: list[bytes] = []
    places: dict[int, int] = {}

    def place(content: bytes) -> int:
        index = places.get(id(content))
        if index is None:
            index = places[id(content)] = len(blobs)
            blobs.append(content)
        return index

    packed = [
        {
            "id": event.id,
            "type": event.type,
            "exchange": event.exchange,
            "principal": event.principal,
            "actor": event.actor,
            "data": dict(event.data),
            "pl": [
                (p.name, place(p.exact), None if p.stored is None else place(p.stored))
                for p in event.payloads
            ],
        }
        for event in events
    ]
    return packed, blobs


def unpack_events(packed: object, blobs: Sequence[bytes]) -> list[Event]:
    """The events of an append message, every field of the right type. Raises Malformed."""
    if type(packed) is not list or not 0 < len(packed) <= EVENTS_MAX:
        raise Malformed("`events` is not a short list")
    return [_unpack(item, blobs) for item in packed]


def _unpack(item: object, blobs: Sequence[bytes]) -> Event:
    if type(item) is not dict:
        raise Malformed("an event is not an object")
    identifier, kind, data = item.get("id"), item.get("type"), item.get("data")
    if type(identifier) is not str or type(kind) is not str or type(data) is not dict:
        raise Malformed("an event needs id, type and data")
    exchange, principal, actor = item.get("exchange"), item.get("principal"), item.get("actor")
    for value in (exchange, principal, actor):
        if value is not None and type(value) is not str:
            raise Malformed("exchange, principal and actor are text or null")
    payloads = item.get("pl", [])
    if type(payloads) is not list:
        raise Malformed("`pl` of an event is not a list")
    content = tuple([_payload(entry, blobs) for entry in payloads]) if payloads else ()
    return Event(identifier, kind, exchange, principal, data, actor, content)


def _payload(entry: object, blobs: Sequence[bytes]) -> Payload:
    if type(entry) is list and len(entry) == len(Payload.__slots__):
        name, exact, stored = entry
        count = len(blobs)
        fits = type(name) is str and type(exact) is int and 0 <= exact < count
        if fits and stored is None:
            return Payload(name, blobs[exact])
        if fits and type(stored) is int and 0 <= stored < count:
            return Payload(name, blobs[exact], blobs[stored])
    raise Malformed("a payload is [name, blob of `exact`, blob of `stored` or null]")
