"""Proofs from tiles: the tree of `tree.py`, read from hashes kept by level (C2SP tlog-tiles).

Level 0 is the leaf hashes; each hash of level L + 1 is the root of 256 whole ones of level L. So a
proof over ten million leaves reads three or four tiles, and nothing has to be kept in memory but
what a cache may forget.

    tree = Tree(levels)            # anything that can give `count` hashes of a level from `first`
    proof = tree.inclusion(index, size)

https://c2sp.org/tlog-tiles has the paths and the shape of tiles.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sekisho_audit.tree import EMPTY_ROOT, HASH_BYTES, half_below, node_hash

WIDTH = 256
_BITS = 8  # of WIDTH: the height of a tile
LEVELS_MAX = 8  # of 256^8 leaves there are more than indices may have
# Each is 33 kB with its inner nodes; the last tiles of a ledger and those above them stay.
_TILES_KEPT = 512
_PATH = re.compile(
    r"(?P<level>[0-7]|entries)/(?P<index>(?:x[0-9]{3}/){0,4}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class Levels(Protocol):
    """Hashes by level."""

    def hashes(self, level: int, first: int, count: int) -> bytes:
        """`count` hashes of a level one after the other, from the `first`. Raises NoTile."""
        ...


class NoTile(LookupError):
    """A tile that this tree does not have, or a path that is none."""


@dataclass(frozen=True, slots=True)
class TilePath:
    """What a path below `tile/` names; `level` is None for a bundle of entries."""

    level: int | None
    index: int
    width: int = WIDTH

    @classmethod
    def parse(cls, text: str) -> TilePath:
        """Read `0/x001/234` or `entries/000.p/12`. Raises NoTile."""
        found = _PATH.fullmatch(text)
        if found is None:
            raise NoTile(f"{text!r} is not the path of a tile")
        parts = found["index"].split("/")
        # Only one form is allowed: more parts than needed would be a second name of one tile.
        if len(parts) > 1 and parts[0] == "x000":
            raise NoTile(f"{text!r} is not the path of a tile")
        index = int("".join(part.removeprefix("x") for part in parts))
        width = int(found["width"] or WIDTH)
        if width > WIDTH or (found["width"] and width == WIDTH):
            raise NoTile(f"a tile has at most {WIDTH} hashes, a partial one fewer")
        return cls(None if found["level"] == "entries" else int(found["level"]), index, width)

    def __str__(self) -> str:
        """The path below `tile/`."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        path = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        level = "entries" if self.level is None else str(self.level)
        return f"{level}/{path}" + ("" if self.width == WIDTH else f".p/{self.width}")


def tile_paths(size: int) -> Iterator[TilePath]:
    """All hash tiles of a tree, level by level."""
    level = 0
    while count := size >> (_BITS * level):
        whole, rest = divmod(count, WIDTH)
        yield from (TilePath(level, index) for index in range(whole))
        if rest:
            yield TilePath(level, whole, rest)
        level += 1


class MemoryLevels:
    """All hashes in memory: for one proof from a directory, and for tests."""

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[bytearray] = [bytearray()]

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self._levels[0] += leaf
        self.size += 1
        level, count = 0, self.size
        while count % WIDTH == 0:
            count //= WIDTH
            tile = self.hashes(level, (count - 1) * WIDTH, WIDTH)
            level += 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += tile_root(tile)

    def hashes(self, level: int, first: int, count: int) -> bytes:
        """As in Levels."""
        found = b""
        if level < len(self._levels):
            found = bytes(self._levels[level][first * HASH_BYTES : (first + count) * HASH_BYTES])
        if len(found) != count * HASH_BYTES:
            raise NoTile(f"level {level} has no hashes {first} to {first + count - 1}")
        return found


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def _inner(row: list[bytes]) -> list[list[bytes]]:
    """A row of hashes with the rows above it: of every perfect subtree, its root."""
    rows = [row]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        rows.append(row)
    return rows


def tile_root(hashes: bytes) -> bytes:
    """Root of a whole tile, or of any power of two of hashes."""
    return _inner(_split(hashes))[-1][0]


class Tree:
    """Roots and proofs of any size up to what the levels have. Used by one thread at a time."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self._kept: OrderedDict[tuple[int, int, int], list[list[bytes]]] = OrderedDict()

    def root(self, size: int) -> bytes:
        """Root hash of the first `size` leaves. Raises NoTile, here as below."""
        return self._range(0, size, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The path from leaf `index` to the root of `size` leaves, lowest first (RFC 6962, 2.1.1).

        Raises ValueError if the leaf is outside.
        """
        if not 0 <= index < size:
            raise ValueError(f"index {index} is outside a tree of {size}")
        low, high, path = 0, size, []
        while high - low > 1:
            middle = low + half_below(high - low)
            if index < middle:
                path.append(self._range(middle, high, size))
                high = middle
            else:
                path.append(self._range(low, middle, size))
                low = middle
        return path[::-1]

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """Proof that the first `old_size` leaves are a prefix of `size` (RFC 6962, 2.1.2).

        Raises ValueError if they cannot be.
        """
        if not 0 < old_size <= size:
            raise ValueError(f"size {old_size} is no prefix of a tree of {size}")
        low, high, path, whole = 0, size, [], True
        while old_size != high:
            middle = low + half_below(high - low)
            if old_size <= middle:
                path.append(self._range(middle, high, size))
                high = middle
            else:
                path.append(self._range(low, middle, size))
                low, whole = middle, False
        if not whole:
            path.append(self._range(low, high, size))
        return path[::-1]

    def _range(self, low: int, high: int, size: int) -> bytes:
        """Root of the leaves from `low` to `high`, a node of the tree of `size` leaves."""
        count = high - low
        if count & (count - 1) == 0:
            return self._node(low, count.bit_length() - 1, size)
        middle = low + half_below(count)
        left = self._node(low, (middle - low).bit_length() - 1, size)
        return node_hash(left, self._range(middle, high, size))

    def _node(self, low: int, height: int, size: int) -> bytes:
        """Root of the perfect subtree of 2^height leaves from `low`."""
        level, rest = divmod(height, _BITS)
        first = low >> (_BITS * level)
        tile, place = divmod(first, WIDTH)
        width = min(WIDTH, (size >> (_BITS * level)) - tile * WIDTH)
        return self._tile(level, tile, width)[rest][place >> rest]

    def _tile(self, level: int, index: int, width: int) -> list[list[bytes]]:
        """A tile with its inner nodes; no tile ever changes, so it may be kept."""
        place = (level, index, width)
        known = self._kept.get(place)
        if known is None:
            hashes = self._levels.hashes(level, index * WIDTH, width)
            known = self._kept[place] = _inner(_split(hashes))
            if len(self._kept) > _TILES_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(place)
        return known
