"""Our log against one by other people: aics-tlog reads what we write, and the reverse.

It shares no code with ours: roots and proofs, tiles and entry bundles with their paths, signed
notes with those of witnesses. The number of proofs grows with the square of the size, so of large
trees some are chosen: the ends, the powers of two, and a few by chance. `make soak` takes all of
them to size 1,024.
"""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Iterator

import pytest
from aics_tlog import (
    Checkpoint as TheirCheckpoint,
)
from aics_tlog import (
    IncrementalTileWriter,
    MerkleTree,
    audit_tiles,
    consistency_proof_from_tiles,
    cosignature_vkey,
    inclusion_proof_from_tiles,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    sign_checkpoint,
    sign_cosignature,
    verify_checkpoint,
    vkey_from_ed25519,
)
from aics_tlog.note import Note, VKey, format_vkey
from aics_tlog.tiles import parse_entry_bundle, tree_root_from_tiles
from aics_tlog.tree import verify_consistency as they_verify_consistency
from aics_tlog.tree import verify_inclusion as they_verify_inclusion
from aics_tlog.writer import MemoryTileStore
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sekisho_audit.checkpoint import BadNote, Checkpoint, Signer, VerifierKey, open_note
from sekisho_audit.ledger import Ledger
from sekisho_audit.proof import Proof
from sekisho_audit.published import Published
from sekisho_audit.tiles import WIDTH, MemoryLevels, NoTile, TilePath, Tree, tile_paths
from sekisho_audit.tree import (
    EMPTY_ROOT,
    BadProof,
    CompactRange,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from support.ledgers import ORIGIN, open_ledger, run_exchange

SIZE = 4_096
EVERY_TO = int(os.environ.get("SEKISHO_EVERY_PROOF_TO", "40"))
BODIES = [b'{"n":%d}' % number for number in range(SIZE)]
LEAVES = [leaf_hash(body) for body in BODIES]
SEED = bytes(range(32))


@pytest.fixture(scope="module")
def ours() -> Tree:
    levels = MemoryLevels()
    for leaf in LEAVES:
        levels.append(leaf)
    return Tree(levels)


@pytest.fixture(scope="module")
def theirs() -> MerkleTree:
    return MerkleTree(BODIES)


def chosen(size: int, chance: random.Random) -> set[int]:
    """Places of a tree: all of a small one; the ends, both sides of the split, some by chance."""
    if size <= EVERY_TO:
        return set(range(size))
    split = 1 << ((size - 1).bit_length() - 1)
    return {chance.choice([0, split - 1, split]), size - 1, chance.randrange(size)}


def test_roots_and_proofs_hold_for_both_at_every_size(ours: Tree) -> None:
    """All sizes to 4,096: their writer's root is ours, and their verifier takes our proofs."""
    chance, edge = random.Random(9162), CompactRange()  # noqa: S311 - which places are tried
    writer, roots = IncrementalTileWriter(MemoryTileStore()), [EMPTY_ROOT]
    assert writer.root() == EMPTY_ROOT
    for size in range(1, SIZE + 1):
        edge.append(LEAVES[size - 1])
        roots.append(root := writer.append([BODIES[size - 1]]).root)
        assert ours.root(size) == edge.root() == root
        for index in chosen(size, chance):
            path = ours.inclusion(index, size)
            assert they_verify_inclusion(LEAVES[index], index, size, path, root)
            path = ours.consistency(index + 1, size)
            assert they_verify_consistency(index + 1, size, roots[index + 1], root, path)


def test_their_proofs_are_ours_hash_for_hash(ours: Tree, theirs: MerkleTree) -> None:
    """Around whole tiles and powers of two, and at every 17th size; our verifier takes theirs."""
    chance = random.Random(7)  # noqa: S311 - which places are tried
    for size in range(1, SIZE + 1):
        if size > EVERY_TO and size % WIDTH not in {0, 1, WIDTH - 1} and size % 17:
            continue
        root = theirs.root(size)
        for index in chosen(size, chance):
            path = theirs.inclusion_proof(index, size)
            assert path == ours.inclusion(index, size)
            verify_inclusion(LEAVES[index], index, size, path, root)
            path = theirs.consistency_proof(index + 1, size)
            assert path == ours.consistency(index + 1, size)
            verify_consistency(index + 1, size, ours.root(index + 1), root, path)


def spoiled(path: list[bytes], chance: random.Random) -> list[bytes]:
    """A proof that was changed in one of the ways a forger would try first."""
    changed, other = list(path), chance.choice(LEAVES)
    place = chance.randrange(len(path)) if path else 0
    match chance.randrange(5):
        case 0 if path:
            del changed[place]
        case 1:
            changed.insert(place, other)
        case 2 if path:
            changed[place] = other
        case 3 if path:
            flipped = bytearray(changed[place])
            flipped[chance.randrange(32)] ^= 1 << chance.randrange(8)
            changed[place] = bytes(flipped)
        case _:
            chance.shuffle(changed)
    return changed


def holds(verify: object, *arguments: object) -> bool:
    """Whether our verifier takes it."""
    try:
        verify(*arguments)  # type: ignore[operator]
    except BadProof:
        return False
    return True


def test_both_verifiers_judge_forgeries_alike(ours: Tree) -> None:
    """Another place, another size, another root, a spoiled path: one verdict, mostly no."""
    chance, taken = random.Random(6962), 0  # noqa: S311 - which forgeries are tried
    for _ in range(4_000):
        size = chance.choice([chance.randrange(1, 40), chance.randrange(1, SIZE)])
        index = chance.randrange(size)
        said_size = chance.choice([size, size, size + 1, max(1, size - 1), 2 * size])
        said_index = chance.choice([index, index, index ^ 1, index + 1])
        root = ours.root(chance.choice([size, size, said_size]) if said_size <= SIZE else size)
        path = spoiled(ours.inclusion(index, size), chance)
        asked = (LEAVES[index], said_index, said_size, path, root)
        verdict = they_verify_inclusion(*asked)
        assert holds(verify_inclusion, *asked) == verdict
        taken += verdict
        old, path = index + 1, spoiled(ours.consistency(index + 1, size), chance)
        said_old = chance.choice([old, old, old + 1, 2 * old])
        roots = (ours.root(chance.choice([old, old, size])), root)
        told = (said_old, said_size, *roots, path)
        verdict = they_verify_consistency(*told)
        assert holds(verify_consistency, *told) == verdict
        taken += verdict
    assert 0 < taken < 2_000


def test_tiles_and_bundles_have_the_same_paths_and_bytes_at_every_size() -> None:
    """One entry more each time: whatever they write for the new size is what we would serve."""
    store, levels = MemoryTileStore(), MemoryLevels()
    writer = IncrementalTileWriter(store, prune_partials=False)
    for size in range(1, SIZE + 1):
        written = set(writer.append([BODIES[size - 1]]).written)
        levels.append(LEAVES[size - 1])
        for path in written:
            tile = TilePath.parse(path.removeprefix("tile/"))
            assert f"tile/{tile}" == path
            if tile.level is None:
                begin = tile.index * WIDTH
                assert parse_entry_bundle(store.tiles[path]) == BODIES[begin : begin + tile.width]
            else:
                found = levels.hashes(tile.level, tile.index * WIDTH, tile.width)
                assert found == store.tiles[path]
        edge = {f"tile/{path}" for path in tile_paths(size) if path.width < WIDTH}
        assert edge <= store.tiles.keys()
        if size % WIDTH < 2:
            assert writer.root() == Tree(levels).root(size)
    whole = {path for path in store.tiles if ".p/" not in path and "entries" not in path}
    assert whole == {f"tile/{path}" for path in tile_paths(SIZE) if path.width == WIDTH}


class OurLog:
    """The published log in the form their readers ask for."""

    def __init__(self, log: Published) -> None:
        self._log = log

    def read_tile(self, level: int, index: int, width: int | None) -> bytes | None:
        try:
            return self._log.tile(TilePath(level, index, width or WIDTH))
        except NoTile:
            return None

    def read_entry_bundle(self, index: int, width: int | None) -> bytes | None:
        try:
            return self._log.tile(TilePath(None, index, width or WIDTH))
        except NoTile:
            return None


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A real ledger of two whole tiles and a part, with a signed checkpoint."""
    opened = open_ledger(tmp_path_factory.mktemp("i"))
    opened.open_session("s-1", 1)
    while opened.size <= 2 * WIDTH:
        run_exchange(opened, "s-1")
    opened.write_checkpoint()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def log(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """What the ledger publishes."""
    place = tmp_path_factory.mktemp("t") / "index" / "tiles"
    shown = Published(place, ledger.directory, lambda: ledger.signed)
    while shown.follow():
        pass
    yield shown
    shown.close()


def signed(ledger: Ledger, log: Published) -> TheirCheckpoint:
    """The checkpoint of the log, as they read and check it with the key in the directory."""
    key = parse_vkey((ledger.directory / "vkey").read_text().removesuffix("\n"))
    note = parse_note(log.checkpoint)
    assert verify_checkpoint(note, key, expected_origin=ORIGIN).ok
    return parse_checkpoint(note.text)


def test_their_monitor_audits_our_log(ledger: Ledger, log: Published) -> None:
    """Every tile and entry of a real ledger, from its signed checkpoint, by their code alone."""
    head = signed(ledger, log)
    assert head.size > 2 * WIDTH
    report = audit_tiles(OurLog(log), head.size, head.root)
    assert (report.tiles, report.bundles) == (4, 3)
    assert tree_root_from_tiles(OurLog(log), 300, head.size) == log_root(ledger, 300)
    spoilt = bytes([head.root[0] ^ 1]) + head.root[1:]
    with pytest.raises(ValueError, match="root"):
        audit_tiles(OurLog(log), head.size, spoilt)


def log_root(ledger: Ledger, size: int) -> bytes:
    """Root of the first `size` events on the disk, by their tree."""
    segment = (ledger.directory / "events" / "000000000000.seg").read_bytes()
    at, bodies = segment.index(b"\n") + 1, []
    while len(bodies) < size:
        length = int.from_bytes(segment[at : at + 4], "big")
        bodies.append(segment[at + 36 : at + 36 + length])
        at += 36 + length
    return MerkleTree(bodies).root()


def test_their_proofs_from_our_tiles_are_ours(ledger: Ledger, log: Published) -> None:
    """They make them of tiles alone; our verifier takes them, and they are the ones we give out."""
    head = signed(ledger, log)
    for index in (0, 1, 255, 256, 511, 512, head.size - 1):
        path = inclusion_proof_from_tiles(OurLog(log), index, head.size)
        proof = log.proof(index)
        assert list(proof.path) == path
        verify_inclusion(leaf_hash(proof.leaf), index, head.size, path, head.root)
    for old in (1, 2, 255, 256, 257, 512, head.size - 1):
        path = consistency_proof_from_tiles(OurLog(log), old, head.size)
        verify_consistency(old, head.size, log_root(ledger, old), head.root, path)


def test_a_proof_file_is_checked_without_our_code(ledger: Ledger, log: Published) -> None:
    """The text of a `.tlog-proof`, taken apart as c2sp.org/tlog-proof says, and their verifiers."""
    key = parse_vkey(ledger.key.line())
    for index in (0, 300, 512):
        head, note = log.proof(index).text().split("\n\n", 1)
        magic, extra, number, *path = head.split("\n")
        assert (magic, number) == ("c2sp.org/tlog-proof@v1", f"index {index}")
        leaf = base64.b64decode(extra.removeprefix("extra "), validate=True)
        assert verify_checkpoint(parse_note(note), key, expected_origin=ORIGIN).ok
        point = parse_checkpoint(parse_note(note).text)
        hashes = [base64.b64decode(line, validate=True) for line in path]
        assert they_verify_inclusion(leaf_hash(leaf), index, point.size, hashes, point.root)


def test_we_check_a_proof_of_their_making(theirs: MerkleTree) -> None:
    """Their tree, their checkpoint, their path; our reader of proofs and our verifier."""
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    head = TheirCheckpoint("log.example/theirs", 700, theirs.root(700))
    note = sign_checkpoint(head, private, "log.example/theirs").serialise()
    lines = [base64.b64encode(item).decode() for item in theirs.inclusion_proof(44, 700)]
    extra = base64.b64encode(BODIES[44]).decode()
    text = "\n".join(["c2sp.org/tlog-proof@v1", f"extra {extra}", "index 44", *lines, "", note])
    key = VerifierKey.parse(
        format_vkey(vkey_from_ed25519("log.example/theirs", private.public_key()))
    )
    proof = Proof.parse(text)
    assert proof.check(key) == Checkpoint("log.example/theirs", 700, theirs.root(700))
    assert proof.text() == text
    with pytest.raises(BadProof):
        Proof.parse(text.replace("index 44", "index 45")).check(key)


def test_notes_and_keys_are_the_same_bytes() -> None:
    """One seed and one checkpoint: Ed25519 is deterministic, so the whole note is the same."""
    signer, private = Signer(ORIGIN, SEED), Ed25519PrivateKey.from_private_bytes(SEED)
    key = vkey_from_ed25519(ORIGIN, private.public_key())
    assert format_vkey(key) == signer.key.line()
    for size in (0, 1, 255, 4_096, 2**53 - 1):
        root = leaf_hash(b"%d" % size)
        note = sign_checkpoint(TheirCheckpoint(ORIGIN, size, root), private, ORIGIN)
        assert note.to_bytes() == signer.sign(Checkpoint(ORIGIN, size, root))
        assert open_note(note.to_bytes(), VerifierKey.parse(format_vkey(key))).size == size


def cosigned(count: int) -> tuple[Note, list[VKey]]:
    """Our checkpoint with the cosignatures of so many witnesses in front of our signature."""
    signer, root = Signer(ORIGIN, SEED), leaf_hash(b"x")
    note = parse_note(signer.sign(Checkpoint(ORIGIN, 7, root)))
    lines, keys = [], []
    for number in range(count):
        private = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
        name = f"witness-{number}.example/w"
        _, line = sign_cosignature(private, name, 1_790_000_000, ORIGIN, 7, root)
        lines.append(line)
        keys.append(cosignature_vkey(name, private.public_key()))
    return Note(text=note.text, signatures=(*lines, *note.signatures)), keys


def test_a_checkpoint_with_sixteen_witnesses_is_good_for_both() -> None:
    """c2sp.org/signed-note asks to take at least sixteen signatures."""
    note, witnesses = cosigned(16)
    key = Signer(ORIGIN, SEED).key
    assert open_note(note.to_bytes(), key).size == 7
    found = verify_checkpoint(note, parse_vkey(key.line()), witnesses, quorum=16)
    assert found.ok


CHANGES = {
    "another size": ("\n7\n", "\n8\n"),
    "another origin": (ORIGIN, "ledger.example/other"),
    "a zero in front": ("\n7\n", "\n07\n"),
    "no empty line": ("\n\n", "\n"),
    "another dash": ("— ", "- "),
    "one more line": ("\n\n", "\nmore\n\n"),
    "no signature": ("— ", ""),
    "another line end": ("\n", "\r\n"),
}


@pytest.mark.parametrize("story", CHANGES)
def test_both_refuse_a_changed_note(story: str) -> None:
    """A changed body, another spelling, no signature: refused here and there."""
    signer = Signer(ORIGIN, SEED)
    text = signer.sign(Checkpoint(ORIGIN, 7, LEAVES[0])).decode()
    changed = text.replace(*CHANGES[story], 1)
    assert changed != text
    with pytest.raises(BadNote):
        open_note(changed.encode(), signer.key)
    try:
        accepted = verify_checkpoint(parse_note(changed), parse_vkey(signer.key.line())).ok
    except ValueError:
        accepted = False
    assert not accepted
