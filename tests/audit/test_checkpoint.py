"""Signed notes: the format of C2SP, one spelling, and nothing that is not signed."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sekisho_audit.checkpoint import (
    NOTE_BYTES_MAX,
    BadNote,
    Checkpoint,
    Signer,
    VerifierKey,
    check_name,
    from_base64,
    open_any,
    open_note,
    open_text,
    read_signatures,
    read_unverified,
    split_note,
    to_base64,
)

SIGNER = Signer("ledger.example/test", bytes(range(32)))
CHECKPOINT = Checkpoint("ledger.example/test", 42, bytes(range(32)))
NOTE = SIGNER.sign(CHECKPOINT)


def test_note_is_read_back() -> None:
    """What was signed comes back."""
    assert open_note(NOTE, SIGNER.key) == CHECKPOINT == read_unverified(NOTE)


def test_published_example_key() -> None:
    """The key of the C2SP signed-note example parses, with the id printed there."""
    line = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = VerifierKey.parse(line)
    assert (key.key_id.hex(), key.line()) == ("c74f20a3", line)


def test_every_flipped_bit_is_refused() -> None:
    """No changed byte of a note leaves it valid."""
    for offset in range(len(NOTE)):
        for bit in range(8):
            changed = bytearray(NOTE)
            changed[offset] ^= 1 << bit
            with pytest.raises(BadNote):
                open_note(bytes(changed), SIGNER.key)


def test_signature_of_a_witness_is_ignored() -> None:
    """A second signature by a key we do not know does not disturb."""
    witness = Signer("witness.example/w", bytes(32)).sign(CHECKPOINT).splitlines(keepends=True)[-1]
    assert open_note(NOTE + witness, SIGNER.key) == CHECKPOINT


def stranger(name: str, count: int) -> bytes:
    """A signature line by a key nobody here knows, of `count` bytes behind its id."""
    blob = base64.b64encode(b"\x01\x02\x03\x04" + bytes(count)).decode()
    return f"— {name} {blob}\n".encode()


def test_sixteen_large_signatures_of_strangers_are_ignored() -> None:
    """C2SP signed-note: at least sixteen are taken, and a post-quantum one has nearly 5 KB."""
    lines = b"".join(stranger(f"witness-{number}.example/証人", 4_996) for number in range(16))
    assert open_note(NOTE + lines, SIGNER.key) == CHECKPOINT


@pytest.mark.parametrize("name", ["", "a+b", "a\u00a0b", "a\u3000b"])
def test_signature_line_without_a_name_is_refused(name: str) -> None:
    """No name, a plus sign or a blank of Unicode: not a line of a note."""
    with pytest.raises(BadNote, match="name"):
        open_note(NOTE + stranger(name, 64), SIGNER.key)


def test_same_name_with_another_id_is_ignored() -> None:
    """Only name and id together name a key."""
    assert open_note(NOTE + stranger(SIGNER.key.name, 64), SIGNER.key) == CHECKPOINT


def test_one_bad_signature_of_the_known_key_spoils_the_note() -> None:
    """Whoever adds a line in our name that does not fit is not merely ignored."""
    blob = base64.b64encode(SIGNER.key.key_id + bytes(64)).decode()
    with pytest.raises(BadNote, match="does not fit"):
        open_note(NOTE + f"— {SIGNER.key.name} {blob}\n".encode(), SIGNER.key)


def test_other_key_of_the_same_name_is_refused() -> None:
    """A name is not a key."""
    with pytest.raises(BadNote, match="no signature"):
        open_note(NOTE, Signer("ledger.example/test", bytes(32)).key)


def body_with(line: int, text: str) -> str:
    lines = CHECKPOINT.body().split("\n")
    lines[line] = text
    return "\n".join(lines)


BAD_BODIES = {
    "leading zero": body_with(1, "042"),
    "sign": body_with(1, "+42"),
    "blank": body_with(1, " 42"),
    "not ascii digit": body_with(1, "\u0664"),
    "short root": body_with(2, base64.b64encode(bytes(31)).decode()),
    "loose base64": body_with(2, base64.b64encode(bytes(32)).decode()[:-2] + "B="),
    "blank in origin": body_with(0, "a b"),
    "empty origin": body_with(0, ""),
    "no end": CHECKPOINT.body()[:-1],
    "two lines": "a\n1\n",
    "empty extension": CHECKPOINT.body() + "\nx\n",
}


@pytest.mark.parametrize("story", BAD_BODIES)
def test_other_spelling_of_a_body_is_refused(story: str) -> None:
    """A checkpoint has one spelling."""
    with pytest.raises(BadNote):
        Checkpoint.parse(BAD_BODIES[story])


@pytest.mark.parametrize(
    "line",
    ["", "a", "a+b", "a+00000000+AA==", "a b+c74f20a3+AAAA", SIGNER.key.line()[:-4] + "AAA="],
)
def test_bad_verifier_key_is_refused(line: str) -> None:
    """A key line that does not fit itself is refused."""
    with pytest.raises(BadNote):
        VerifierKey.parse(line)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "é", "x" * 129])
def test_bad_name_is_refused(name: str) -> None:
    """A ledger's name fits into one word of a note."""
    with pytest.raises(BadNote):
        check_name(name)


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"\n\n", NOTE[:-1], NOTE * 400, b"\xff" + NOTE, b"x\n\nx\n"]
)
def test_bytes_that_are_no_note_are_refused(raw: bytes) -> None:
    """Anything else is refused, also when it is very long."""
    with pytest.raises(BadNote):
        open_note(raw, SIGNER.key)


def test_two_sign_one_note() -> None:
    """Each of them can be asked for alone; a third is not there."""
    second = Signer("ledger.example/test", bytes(32))
    note = SIGNER.sign(CHECKPOINT, second)
    assert open_note(note, SIGNER.key) == open_note(note, second.key) == CHECKPOINT
    third = Signer("ledger.example/test", b"3" * 32)
    with pytest.raises(BadNote, match="no signature"):
        open_note(note, third.key)
    assert open_any(note, [third.key, second.key]) == CHECKPOINT
    with pytest.raises(BadNote, match="no signature"):
        open_any(NOTE, [third.key, second.key])


def test_a_broken_signature_is_not_excused_by_another() -> None:
    """Whoever claims to be a key that we trust must be it, also beside one who is."""
    second = Signer("ledger.example/test", bytes(32))
    broken = second.line(CHECKPOINT.body().replace("42", "43")).encode()
    with pytest.raises(BadNote, match="does not fit"):
        open_any(NOTE + broken, [second.key, SIGNER.key])


def test_signature_lines_may_stand_alone() -> None:
    """As witnesses answer them."""
    line = SIGNER.line(CHECKPOINT.body())
    assert read_signatures(line) == split_note(NOTE)[1]
    for wrong in ("", line[:-1], line + "\n", "x" * 70_000 + "\n", line.replace("—", "-")):
        with pytest.raises(BadNote):
            read_signatures(wrong)


def test_a_text_that_is_no_checkpoint_can_be_signed_and_is_not_taken_for_one() -> None:
    """Exports sign their manifests with the same key."""
    signer = Signer("ledger.example/test", b"s" * 32)
    note = signer.sign_text("sekisho-evidence/v1\nexport 7 of x\n")
    assert open_text(note, signer.key) == "sekisho-evidence/v1\nexport 7 of x\n"
    with pytest.raises(BadNote):
        open_note(note, signer.key)
    with pytest.raises(BadNote):
        open_text(note, Signer("ledger.example/test", b"t" * 32).key)


KEY = SIGNER.key


def key_line(material: bytes, key_id: str = KEY.key_id.hex()) -> str:
    """A verifier key line with this in its base64."""
    return f"{KEY.name}+{key_id}+{to_base64(material)}"


BAD_KEYS = {
    "another algorithm": (key_line(b"\x04" + KEY.public), "Ed25519"),
    "a short key": (key_line(b"\x01" + KEY.public[1:]), "Ed25519"),
    "a long key": (key_line(b"\x01" + KEY.public * 2), "Ed25519"),
    "the id of another": (key_line(b"\x01" + KEY.public, "00000000"), "key id"),
    "an id in capitals": (key_line(b"\x01" + KEY.public, KEY.key_id.hex().upper()), "key id"),
    "no id": (f"{KEY.name}+AAAA", "name[+]key id"),
}


@pytest.mark.parametrize("story", BAD_KEYS)
def test_bad_key_is_refused_for_what_is_wrong(story: str) -> None:
    """Each part of a key line is judged by itself."""
    line, what = BAD_KEYS[story]
    with pytest.raises(BadNote, match=what):
        VerifierKey.parse(line)


def test_key_with_a_plus_in_its_base64_is_read() -> None:
    """Only the first two plus signs of a line part it."""
    for seed in range(64):
        key = Signer("ledger.example/test", bytes([seed]) * 32).key
        if key.line().count("+") > 2:
            assert VerifierKey.parse(key.line()) == key
            return
    pytest.fail("none of the keys had a plus sign")


@pytest.mark.parametrize("text", ["é", "A", "AA=", "AA==AA==", "A A=", "AB==", "AA-_"])
def test_base64_has_one_form(text: str) -> None:
    """No other letters, no loose bits, no padding left out or doubled."""
    with pytest.raises(BadNote, match="base64"):
        from_base64(text)


def test_length_of_a_note_is_bounded_exactly() -> None:
    """What sixteen large signatures need is taken; one byte more than the bound is not read."""
    assert NOTE_BYTES_MAX == 131_072
    room = NOTE_BYTES_MAX - len(NOTE) - len("— witness.example/\n".encode()) - len(" AQIDBAUG")
    longest = NOTE + f"— witness.example/{'x' * room} AQIDBAUG\n".encode()
    assert len(longest) == NOTE_BYTES_MAX
    assert open_note(longest, SIGNER.key) == CHECKPOINT
    with pytest.raises(BadNote, match="too long"):
        open_note(longest.replace(b"/x", b"/xx", 1), SIGNER.key)


TEXT = NOTE.decode()
BAD_NOTES = {
    "a tab": (TEXT.replace("\n42\n", "\n42\n\tx\n"), "control character"),
    "a NUL": (TEXT + "\0", "control character"),
    "no newline at the end": (TEXT[:-1], "no signature, or"),
    "no empty line": (TEXT.replace("\n\n", "\n"), "no signature, or"),
    "no dash": (TEXT.replace("— ", ""), "malformed"),
    "a dash alone": (TEXT + "— \n", "malformed"),
    "no signature behind the name": (TEXT + "— witness.example\n", "malformed"),
    "two dashes and no blank": (TEXT.replace("— ", "——"), "malformed"),
    "an id and nothing": (TEXT + "— witness.example AQIDBA==\n", "too short"),
    "bad base64": (TEXT + "— witness.example AQIDBA\n", "base64"),
    "half a signature": (
        TEXT + f"— {KEY.name} {to_base64(KEY.key_id + bytes(63))}\n",
        "wrong length",
    ),
}


@pytest.mark.parametrize("story", BAD_NOTES)
def test_bad_note_is_refused_for_what_is_wrong(story: str) -> None:
    """Also where the text and our own signature are right."""
    text, what = BAD_NOTES[story]
    with pytest.raises(BadNote, match=what):
        open_note(text.encode(), SIGNER.key)


def test_an_extension_line_is_signed_and_ignored() -> None:
    """A body may say more; what we read of it is the same, and a changed word is found."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    body = CHECKPOINT.body() + "more to say\n"
    signature = to_base64(KEY.key_id + private.sign(body.encode()))
    note = f"{body}\n— {KEY.name} {signature}\n".encode()
    assert open_note(note, KEY) == CHECKPOINT
    with pytest.raises(BadNote, match="does not fit"):
        open_note(note.replace(b"more", b"less"), KEY)


def test_length_of_signature_lines_is_bounded_exactly() -> None:
    """As long as a note may be, and ended by a newline; each is said for itself."""
    room = NOTE_BYTES_MAX - len("— w AQIDBAUG\n")
    longest = f"— {'w' * (room + 1)} AQIDBAUG\n"
    assert len(longest) == NOTE_BYTES_MAX
    assert len(read_signatures(longest)) == 1
    for wrong in (longest.replace("— ", "— w"), longest[:-1], "— w AQIDBAUG"):
        with pytest.raises(BadNote, match="too long, or do not end"):
            read_signatures(wrong)


def test_any_of_three_keys_may_have_signed() -> None:
    """The first, the one between, or the last; and one alone."""
    signers = [Signer("ledger.example/test", bytes([seed]) * 32) for seed in (1, 2, 3)]
    keys = [signer.key for signer in signers]
    for signer in signers:
        assert open_any(signer.sign(CHECKPOINT), keys) == CHECKPOINT
        assert open_any(signer.sign(CHECKPOINT), [signer.key]) == CHECKPOINT
