"""Hash tiles of a published log, compared with the hashes of its entries, as soon as each is whole.

What was compared is kept but for the lowest level (a 256th of all hashes, 1.3 MB for ten million
entries), so the root of any size can still be told when everything was read: a tile of the lowest
level is asked for again then, and must be what it was.
"""

from __future__ import annotations

from collections.abc import Callable

from sekisho_audit.tiles import WIDTH, NoTile, TilePath, Tree, tile_root
from sekisho_audit.tree import HASH_BYTES

_TILE_BYTES = WIDTH * HASH_BYTES


class WrongTile(Exception):
    """A tile that is served has not the hashes of the entries; `file` is which."""

    def __init__(self, path: TilePath) -> None:
        super().__init__("the hashes of this tile are not those of the entries")
        self.file = f"tile/{path}"


class ComparedTiles:
    """The tiles of one log; `get` asks for one. Raises WrongTile, and what `get` raises."""

    def __init__(self, get: Callable[[TilePath], bytes]) -> None:
        self._get = get
        self._index = 0  # of the tile of level 0 that is not whole yet
        self._part = bytearray()
        self._above: list[bytearray] = []

    def append(self, hashes: bytes) -> None:
        """The next hashes of entries, not beyond the end of a tile."""
        self._part += hashes
        if len(self._part) == _TILE_BYTES:
            whole = bytes(self._part)
            self._compare(TilePath(0, self._index), whole)
            self._index += 1
            self._part.clear()
            self._add(1, tile_root(whole))

    def _add(self, level: int, root: bytes) -> None:
        if level > len(self._above):
            self._above.append(bytearray())
        row = self._above[level - 1]
        row += root
        if len(row) % _TILE_BYTES == 0:
            whole = bytes(row[-_TILE_BYTES:])
            self._compare(TilePath(level, len(row) // _TILE_BYTES - 1), whole)
            self._add(level + 1, tile_root(whole))

    def finish(self) -> None:
        """Compare what is not whole."""
        if self._part:
            width = len(self._part) // HASH_BYTES
            self._compare(TilePath(0, self._index, width), bytes(self._part))
        for level, row in enumerate(self._above, 1):
            whole, rest = divmod(len(row), _TILE_BYTES)
            if rest:
                path = TilePath(level, whole, rest // HASH_BYTES)
                self._compare(path, bytes(row[-rest:]))

    def root(self, size: int) -> bytes:
        """The root over the first `size` entries, of those that were read."""
        return Tree(self).root(size)

    def hashes(self, level: int, first: int, count: int) -> bytes:
        """As in `tiles.Levels`."""
        at, row = first, bytearray()
        if level == 0:
            index, at = divmod(first, WIDTH)
            row = self._leaves(index)
        elif level <= len(self._above):
            row = self._above[level - 1]
        found = bytes(row[at * HASH_BYTES : (at + count) * HASH_BYTES])
        if len(found) != count * HASH_BYTES:
            raise NoTile(f"level {level} has no hashes {first} to {first + count - 1}")
        return found

    def _leaves(self, index: int) -> bytearray:
        if index >= self._index:
            return self._part if index == self._index else bytearray()
        again = self._get(TilePath(0, index))
        if len(again) != _TILE_BYTES or tile_root(again) != self.hashes(1, index, 1):
            raise WrongTile(TilePath(0, index))
        return bytearray(again)

    def _compare(self, path: TilePath, hashes: bytes) -> None:
        if self._get(path) != hashes:
            raise WrongTile(path)
