"""The published vectors: what the code makes now is what was published, and it is right by itself.

What should come out is worked out again without our code where that is short: hashlib, hmac,
orjson, and an Ed25519 of another library.
"""

from __future__ import annotations

import base64
import hmac
import json
import runpy
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import Checkpoint, VerifierKey, open_note, split_note
from sekisho_audit.cosignature import WitnessKey, check
from sekisho_audit.key_chain import KeyChain, Rotation
from sekisho_audit.seal import unseal
from support.rfc9162 import mth, path, proof

FOLDER = Path(__file__).resolve().parents[2] / "audit" / "vectors"


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text())
    return found


def test_the_file_is_what_the_code_makes() -> None:
    made = runpy.run_path(str(FOLDER / "make.py"))["document"]()
    assert (FOLDER / "vectors.json").read_text() == made


def test_roots_paths_and_tiles_follow_the_rfc(vectors: dict[str, Any]) -> None:
    tree = vectors["tree"]
    leaves = [b'{"n":%d}' % number for number in range(600)]
    for size, root in tree["roots"].items():
        assert mth(leaves[: int(size)]).hex() == root
    for one in tree["inclusion"]:
        hashes = path(one["index"], leaves[: one["size"]])
        assert [item.hex() for item in hashes] == one["path"]
    for one in tree["consistency"]:
        hashes = proof(one["old"], leaves[: one["size"]])
        assert [item.hex() for item in hashes] == one["path"]
    hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    assert sha256(b"".join(hashes[:256])).hexdigest() == tree["tiles"]["0/000"]
    assert sha256(b"".join(hashes[512:])).hexdigest() == tree["tiles"]["0/002.p/88"]
    above = mth(leaves[:256]) + mth(leaves[256:512])
    assert sha256(above).hexdigest() == tree["tiles"]["1/000.p/2"]


def test_places_follow_c2sp(vectors: dict[str, Any]) -> None:
    """Three digits a part, an x before all but the last; entries behind two bytes of length."""
    for one in vectors["places"]["paths"]:
        digits = str(one["index"])
        parts = [f"{int(digits[max(0, end - 3) : end]):03d}" for end in range(len(digits), 0, -3)]
        place = "/".join([*(f"x{part}" for part in parts[:0:-1]), parts[0]])
        level = "entries" if one["level"] is None else one["level"]
        partial = "" if one["width"] == 256 else f".p/{one['width']}"
        assert f"{level}/{place}{partial}" == one["path"]
    entries = [b'{"n":%d}' % number for number in range(600)]
    stored = [len(entry).to_bytes(2, "big") + entry for entry in entries]
    bundles = vectors["places"]["bundles"]
    assert sha256(b"".join(stored[:256])).hexdigest() == bundles["entries/000"]
    assert sha256(b"".join(stored[512:])).hexdigest() == bundles["entries/002.p/88"]


def test_leaves_have_the_form_of_the_specification(vectors: dict[str, Any]) -> None:
    """An encoder of another library writes the same text; the segment is read by hand."""
    leaves = vectors["leaves"]
    raw = bytes.fromhex(leaves["segment"])
    assert raw.startswith(b"sekisho-events-v1 000000000000\n")
    at = raw.index(b"\n") + 1
    for one in leaves["canonical"]:
        body = one["text"].encode()
        assert orjson.dumps(one["value"], option=orjson.OPT_SORT_KEYS) == body
        assert sha256(b"\x00" + body).hexdigest() == one["leaf_hash"]
        frame = len(body).to_bytes(4, "big") + bytes.fromhex(one["leaf_hash"]) + body
        assert raw[at : at + len(frame)] == frame
        at += len(frame)
    assert at == len(raw)


def test_what_is_no_leaf_is_refused(vectors: dict[str, Any]) -> None:
    refused = vectors["leaves"]["refused"]
    assert len({one["why"] for one in refused}) == len(refused) > 15
    for one in refused:
        with pytest.raises(NotCanonical):
            decode(bytes.fromhex(one["hex"]))


def test_the_note_is_signed_as_c2sp_says(vectors: dict[str, Any]) -> None:
    notes = vectors["notes"]
    name, key_id, encoded = notes["vkey"].split("+", 2)
    material = base64.b64decode(encoded)
    assert sha256(f"{name}\n".encode() + material).hexdigest()[:8] == key_id
    text, _, tail = notes["checkpoint"].partition("\n\n")
    dash, signer, signature = tail.strip().split(" ")
    raw = base64.b64decode(signature)
    assert (dash, signer, raw[:4].hex()) == ("—", name, key_id)
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(raw[4:], f"{text}\n".encode())
    assert notes["with_a_stranger"].startswith(notes["checkpoint"] + "— ")
    key = VerifierKey.parse(notes["vkey"])
    assert open_note(notes["with_a_stranger"].encode(), key).size == 7
    assert open_note(notes["empty"].encode(), key) == Checkpoint(name, 0, mth([]))
    origin, size, root = text.split("\n")
    leaves = [b'{"n":%d}' % number for number in range(int(size))]
    assert (origin, base64.b64decode(root)) == (name, mth(leaves))
    lines = notes["proof"].split("\n")
    assert base64.b64decode(lines[1].removeprefix("extra ")) == leaves[5]
    assert [base64.b64decode(line) for line in lines[3 : lines.index("")]] == path(5, leaves)
    assert notes["proof"].endswith("\n\n" + notes["checkpoint"])
    index, leaf, note = notes["receipt"].split(", ")
    assert index == "index=5"
    assert base64.b64decode(leaf[6:-1]) == sha256(b"\x00" + leaves[5]).digest()
    assert base64.b64decode(note[12:-1]).decode() == notes["checkpoint"]


def test_keys_and_commitment_follow_rfc_5869(vectors: dict[str, Any]) -> None:
    payloads = vectors["payloads"]
    secret, scope = bytes.fromhex(payloads["secret"]), payloads["exchange"].encode()
    for name, info in (("commit_key", b"commit"), ("content_key", b"content")):
        expand = HKDFExpand(SHA256(), 32, b"sekisho-" + info + b"-v1|" + scope)
        assert expand.derive(secret).hex() == payloads[name]
    commit = hmac.digest(bytes.fromhex(payloads["commit_key"]), payloads["plain"].encode(), sha256)
    assert commit.hex() == payloads["commit"]


def test_the_stored_payload_opens(vectors: dict[str, Any]) -> None:
    payloads = vectors["payloads"]
    stored, secret = bytes.fromhex(payloads["stored"]), bytes.fromhex(payloads["secret"])
    assert sha256(stored).hexdigest() == payloads["ct"]
    opened = unseal(secret, payloads["event"], payloads["name"], stored)
    assert opened.decode() == payloads["plain"]


def signed_by(note: str, vkey: str) -> str:
    """The text of a note that the key signed; read by hand. Raises what is wrong."""
    name, key_id, encoded = vkey.split("+", 2)
    text, _, tail = note.rpartition("\n\n")
    lines = [line.split(" ") for line in tail.splitlines()]
    blobs = [base64.b64decode(encoded) for _, signer, encoded in lines if signer == name]
    [ours] = [blob for blob in blobs if blob[:4].hex() == key_id]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
    public.verify(ours[4:], f"{text}\n".encode())
    return f"{text}\n"


def test_both_keys_sign_each_change_of_keys(vectors: dict[str, Any]) -> None:
    """The events before it, and the key that follows; a later checkpoint is the new key's."""
    rotation = vectors["rotation"]
    leaves = [b'{"n":%d}' % number for number in range(7)]
    keys, changes = rotation["keys"], rotation["changes"]
    for number, change in enumerate(changes):
        data, index = change["data"], change["index"]
        assert (data["old"], data["new"]) == (keys[number], keys[number + 1])
        texts = {signed_by(data["note"], data[name]) for name in ("old", "new")}
        root = base64.b64encode(mth(leaves[:index])).decode()
        origin = keys[0].split("+")[0]
        head = f"{origin}\n{index}\n{root}\n"
        assert texts == {f"{head}sekisho key rotation v1 {data['new']}\n"}
        leaf = {"n": index, "log": origin, "data": data}
        assert Rotation.read(leaf).new.line() == data["new"]
    over = rotation["checkpoint_over_the_first"]
    assert signed_by(over, keys[0]) == signed_by(over, keys[1])
    found = [Rotation.read({**one, "n": one["index"], "log": origin}) for one in changes]
    chain = KeyChain(VerifierKey.parse(keys[2]), found)
    for size, number in rotation["key_of_size"].items():
        assert chain.at(int(size)).line() == keys[number]


def test_cosignatures_of_both_kinds_hold(vectors: dict[str, Any]) -> None:
    """Over the bytes that are given; the time stands before the signature."""
    first, second = vectors["cosignatures"]
    for one, algorithm in ((first, 4), (second, 6)):
        name, key_id, encoded = one["vkey"].split("+", 2)
        material = base64.b64decode(encoded)
        assert material[0] == algorithm
        assert sha256(f"{name}\n".encode() + material).hexdigest()[:8] == key_id
        body, signatures = split_note(one["note"].encode())
        [blob] = [blob for signer, blob in signatures if signer == name]
        assert int.from_bytes(blob[4:12], "big") == one["time_s"]
        message, signature = bytes.fromhex(one["message"]), blob[12:]
        if algorithm == 4:
            Ed25519PublicKey.from_public_bytes(material[1:]).verify(signature, message)
        else:
            MLDSA44PublicKey.from_public_bytes(material[1:]).verify(signature, message)
        [found] = check(body, signatures, [WitnessKey.parse(one["vkey"])])
        assert found.time_s == one["time_s"]
    assert signed_by(first["note"], vectors["notes"]["vkey"]).split("\n")[1] == "7"
