"""What text is found by: folding, units, the predicate, and that labels and sequences agree."""

from __future__ import annotations

import hmac
import unicodedata

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sekisho_audit.tokens import LABEL_BYTES, UNIT_BYTES, Blind, contains, matches, units_of

KEY = bytes(range(32))
# Han, kana, Hangul, Latin, digits, wide and half-width forms, marks, emoji, invisible signs.
MIXED = (
    "ab1ABé身份证身契約ひカガｶﾞﾊﾟか\u3099ー약관각\u1100\u1161"
    "Ａ１２ﬁ\u0301\u200b\ufe0f👍🏽👩\u200d💻 ，、.-\n"
)
_TEXT = st.text(MIXED, max_size=24)
_ANY = st.text(max_size=12)


def found(text: str, phrase: str) -> bool:
    """What the index would say of one text."""
    blind = Blind(KEY)
    wanted = blind.wanted(phrase)
    sequence = blind.tokens_of(text)
    possible = set(wanted.labels) <= blind.labels_of(sequence)
    assert possible or not contains(sequence, wanted)
    if wanted.exact:
        assert possible == contains(sequence, wanted)
    return possible and contains(sequence, wanted)


@pytest.mark.parametrize(
    ("text", "phrase", "there"),
    [
        ("请提供身份证号码。", "身份证", True),
        ("请提供身份证号码。", "证", True),
        ("请提供身份证号码。", "份证号", True),
        ("请提供身份证号码。", "身证", False),
        ("身份,份证", "身份证", False),  # both halves are there, apart
        ("身份份证", "身份证", False),
        ("契約書に署名", "契約", True),
        ("契、約", "契約", False),
        ("契、約", "契。約", True),
        ("계약서를 검토", "계약", True),
        ("계약서를 검토", "를 검", True),
        ("계약서를 검토", "를검", False),
        ("カタカナ", "ｶﾀｶﾅ", True),
        ("ガギグ", "ｶﾞｷﾞ", True),
        ("ガ", "カ", False),
        ("か\u3099く", "がく", True),
        ("ＧＰＴ４ 发布", "gpt4", True),
        ("用GPT4写契約", "gpt4写", True),
        ("用GPT4写契約", "pt4", False),
        ("The Blue-Heron merger", "blue heron", True),
        ("The BlueHeron merger", "blue heron", False),
        ("a merger", "merge", False),
        ("STRASSE", "straße", True),
        ("café", "cafe\u0301", True),
        ("café", "cafe", False),
        ("me\u00adrg\u200ber", "merger", True),  # invisible signs hide nothing
        ("葛\U000e0100飾", "葛飾", True),
        ("ok 👍🏽!", "👍", True),
        ("ok 👍!", "👎", False),
        ("2026年3月", "2026年", True),
        ("2026年3月", "26年", False),
        ("สวัสดีครับ", "ครับ", True),
        ("Ελλάς", "ΕΛΛΆΣ", True),
        ("x", "", False),
        ("x", "...", False),
        ("\ud800x", "x", True),
    ],
)
def test_what_a_phrase_matches(text: str, phrase: str, there: bool) -> None:
    """By script: parts of Chinese, Japanese and Korean, whole words of Latin."""
    assert matches(text, phrase) is there
    if units_of(phrase):
        assert found(text, phrase) is there


@settings(deadline=None)
@given(
    st.text("身份证契約한국어かな", max_size=20),
    st.text("身份证契約한국어かな", min_size=1, max_size=4),
)
def test_in_unspaced_scripts_a_match_is_a_part_of_the_text(text: str, phrase: str) -> None:
    """What a person would find with the eye, from one character on."""
    assert matches(text, phrase) is (phrase in text)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["alpha", "beta", "alphabet", "x1"]), max_size=8), st.data())
def test_in_spaced_scripts_a_match_is_a_run_of_words(words: list[str], data: st.DataObject) -> None:
    """Whole words, next to each other."""
    asked = data.draw(st.lists(st.sampled_from(["alpha", "beta", "x1"]), min_size=1, max_size=3))
    runs = [words[at : at + len(asked)] for at in range(len(words))]
    assert matches(" ".join(words), ", ".join(asked).upper()) is (asked in runs)


@settings(deadline=None)
@given(_TEXT, _TEXT)
@example("身份份证", "身份证")
@example("ab身", "b身")
@example("か\u3099", "か")
def test_labels_and_sequences_say_what_the_predicate_says(text: str, phrase: str) -> None:
    """For all texts and phrases of mixed scripts."""
    assume(units_of(phrase))
    assert found(text, phrase) is matches(text, phrase)


@settings(deadline=None)
@given(_TEXT, st.integers(0, 23), st.integers(1, 6))
def test_any_run_of_units_is_found_in_its_own_text(text: str, start: int, count: int) -> None:
    """Also across the borders of scripts, and with the breaks that were there."""
    units = units_of(text)[start : start + count]
    assume(units)
    phrase = "".join(
        " " * unit.broken + unit.text.replace("\0", "").replace("\1", "") for unit in units
    )
    # Two runs that one character parted may fold into another when they are put together.
    assume([unit.text for unit in units_of(phrase)] == [unit.text for unit in units])
    assert found(text, phrase)


@settings(deadline=None)
@given(_ANY, _ANY)
def test_any_text_in_any_script_agrees(text: str, phrase: str) -> None:
    """Whatever Unicode has, lone surrogates left aside."""
    assume(units_of(phrase))
    assert found(text, phrase) is matches(text, phrase)


@settings(deadline=None)
@given(_ANY)
def test_all_spellings_of_a_text_are_one(text: str) -> None:
    """Composed, decomposed, compatible, in small letters or not."""
    plain = [unit.text for unit in units_of(text)]
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert [unit.text for unit in units_of(unicodedata.normalize(form, text))] == plain
    assert [unit.text for unit in units_of(text.casefold())] == plain


def test_a_label_is_an_hmac_and_depends_on_the_key() -> None:
    """HMAC-SHA256 cut to eight bytes, of a key of its own; another key, other labels."""
    labels = hmac.digest(KEY, b"sekisho-index-labels-v1", "sha256")
    sequence = Blind(KEY).tokens_of("merger")
    assert sequence[1:] == hmac.digest(labels, b"umerger", "sha256")[:LABEL_BYTES]
    assert len(sequence) == UNIT_BYTES
    other = Blind(bytes(32))
    assert other.tokens_of("merger") != sequence
    assert other.check != Blind(KEY).check


def test_what_is_stored_shows_no_text_and_no_order() -> None:
    """Neither words nor labels stand in a sealed sequence; another key does not open it."""
    blind = Blind(KEY)
    sequence = blind.tokens_of("merger merger")
    stored = blind.sealed(sequence)
    assert blind.opened(stored) == sequence
    assert b"merger" not in stored
    assert sequence[1 : 1 + LABEL_BYTES] not in stored
    assert blind.sealed(sequence) != stored
    with pytest.raises(InvalidTag):
        Blind(bytes(32)).opened(stored)


def test_a_sequence_is_searched_at_its_joints_only() -> None:
    """Bytes that look like a label across two units are none."""
    blind = Blind(KEY)
    wanted = blind.wanted("x")
    shifted = b"\0" + b"\0" * 4 + wanted.run + b"\0" * 5
    assert wanted.run in shifted
    assert not contains(shifted, wanted)
    assert contains(shifted + b"\0" + wanted.run, wanted)


def test_a_key_of_another_size_and_a_phrase_of_nothing_are_refused() -> None:
    """Both are faults of the caller."""
    with pytest.raises(ValueError, match="31 bytes"):
        Blind(bytes(31))
    with pytest.raises(ValueError, match="without letters"):
        Blind(KEY).wanted("...")


def test_the_memory_for_labels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels stay right when it is full."""
    monkeypatch.setattr("sekisho_audit.tokens._MEMO_MAX", 3)
    blind = Blind(KEY)
    first = blind.tokens_of("a b c d e f")
    assert len(blind._memo) <= 3
    assert blind.tokens_of("a b c d e f") == first
