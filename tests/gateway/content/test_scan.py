"""The whole scanner, as somebody who wants to slip something past it would try it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content import scan as scan_module
from sekisho.content.scan import Scanner
from sekisho.content.walk import KEY
from sekisho.errors import BadRequest

CARD = "4111111111111111"
ESCAPED_CARD = "".join(f"\\u003{digit}" for digit in CARD)
SCANNER = Scanner(
    {"secret": ["top secret", "绝密", "report*"], "review": ["客户名单", "Top Secret"]}
)


def body(content: Any, **more: Any) -> dict[str, Any]:
    """A request with one message."""
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


HIDDEN = {
    "full width": body("４１１１１１１１１１１１１１１１"),
    "mathematical": body("𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏"),
    "Arabic digits": body("٤١١١١١١١١١١١١١١١"),
    "zero width": body("\u200b".join(CARD)),
    "soft hyphens": body("\u00ad".join(CARD)),
    "struck through": body("\u0336".join(CARD)),
    "bidi": body("4111\u202e1111\u202c11111111"),
    "tags": body("4111\U000e00201111\U000e004111111111"),
    "no-break spaces": body("4111\u00a01111\u00a01111\u00a01111"),
    "en dashes": body("4111–1111–1111–1111"),
    "name of a member": body("hi", metadata={CARD: "x"}),
    "name of a member, deep": body("hi", tools=[{"function": {"parameters": {"a": {CARD: 1}}}}]),
    "number": body("hi", metadata={"n": int(CARD)}),
    "number with a fraction": body("hi", metadata={"n": float(CARD)}),
    "two parts": body([{"type": "text", "text": CARD[:7]}, {"type": "text", "text": CARD[7:]}]),
    "many parts": body([{"type": "text", "text": digit} for digit in CARD]),
    "part beside a digit": body(
        [{"type": "text", "text": f"card {CARD}"}, {"type": "text", "text": "99"}]
    ),
    "tool argument": body("hi", extra=[{"function": {"arguments": json.dumps({"n": CARD})}}]),
    "escaped tool argument": body(
        "hi", extra=[{"function": {"arguments": '{"n":"' + ESCAPED_CARD + '"}'}}]
    ),
    "one escaped digit": body('{"n":"\\u0034111111111111111"}'),
    "behind an escaped line end": body('{"n":"a\\n' + CARD + '"}'),
    "behind what looks like an escape": body(f"\\u{CARD}"),
    "image address": body([{"type": "image_url", "image_url": {"url": f"data:text/plain,{CARD}"}}]),
    "said to be an image": body("data:image/png;base64," + "A" * 600 + " " + CARD),
    "system message": {"model": "m", "messages": [{"role": "system", "content": CARD}]},
    "name of the sender": {"messages": [{"role": "user", "name": CARD, "content": "x"}]},
    "stop word": body("hi", stop=[CARD]),
    "tool description": body("hi", tools=[{"function": {"name": "f", "description": CARD}}]),
    "unknown member": body("hi", whatever=[[[{"deep": CARD}]]]),
    "model": {"model": CARD, "messages": []},
}  # fmt: skip


@pytest.mark.parametrize("way", HIDDEN)
def test_hidden_card(way: str) -> None:
    """However the number is dressed and wherever it stands, it is found."""
    assert "card" in SCANNER.scan(HIDDEN[way]).entities


@pytest.mark.parametrize("way", HIDDEN)
def test_hidden_card_in_a_real_body(way: str) -> None:
    """The same after the body went over the wire as ASCII escapes."""
    parsed = orjson.loads(json.dumps(HIDDEN[way]))

    assert "card" in SCANNER.scan(parsed).entities


def test_places() -> None:
    """Each hit tells the way to its string and the span inside it."""
    (card, address) = SCANNER.scan(
        {"messages": [{"content": f"x {CARD}"}], "metadata": {"bob@example.com": 1}}
    ).found

    assert (("messages", 0, "content"), 2, 18) == (card.path, card.start, card.end)
    assert (("metadata", "bob@example.com", KEY), 0, 15) == (
        address.path, address.start, address.end,
    )  # fmt: skip


def test_nothing_is_found_across_two_strings() -> None:
    """Neighbours in the body that no backend joins are not one number."""
    assert {} == SCANNER.scan({"a": CARD[:8], "b": CARD[8:]}).entities
    assert {} == SCANNER.scan([CARD[:8], CARD[8:]]).entities


@pytest.mark.parametrize(
    "text",
    [
        "top secret",
        "TOP  SECRET",
        "Top\nSecret!",
        "t\u200bop secret",
        "ｔｏｐ　ｓｅｃｒｅｔ",
        "«top secret»",
    ],
)
def test_labels(text: str) -> None:
    """Case, white space, width and hidden characters make no difference."""
    assert ("review", "secret") == SCANNER.scan(body(text)).labels


def test_labels_in_chinese() -> None:
    """A word in a script without spaces is found anywhere in the text."""
    assert ("secret",) == SCANNER.scan(body("这是绝密文件")).labels


def test_a_latin_word_stands_alone() -> None:
    """`top secret` is not in `top secretary`, unless the word ends in a star."""
    assert () == SCANNER.scan(body("our top secretary")).labels
    assert ("secret",) == SCANNER.scan(body("three reports")).labels
    assert () == SCANNER.scan(body("misreports")).labels


def test_label_in_a_name() -> None:
    """Names of members are looked through for words too."""
    assert ("secret",) == SCANNER.scan({"绝密": 1}).labels


def test_counts() -> None:
    """Each hit counts once, also when two views of the text show it."""
    text = f"{CARD} \\n and {CARD} and a@example.com"

    scan = SCANNER.scan(body(text))

    assert {"card": 2, "email": 1} == scan.entities
    assert scan.chars > len(text)


def test_tokens() -> None:
    """Chinese counts about one token a character, English a quarter."""
    assert 240 < SCANNER.scan(["abcd" * 250]).estimated_tokens < 270
    assert 950 < SCANNER.scan(["测" * 1000]).estimated_tokens < 1100


def test_inline_files_are_counted_not_read() -> None:
    """An image's bytes count as text nobody looked into."""
    url = "data:image/png;base64," + "A" * 4000

    scan = SCANNER.scan(body([{"type": "image_url", "image_url": {"url": url}}]))

    assert 4000 == scan.opaque_chars
    assert scan.chars < 1000


def test_base64_in_prose_is_read() -> None:
    """Only where a file may stand is encoded text left out."""
    assert 0 == SCANNER.scan(body("A" * 4000)).opaque_chars


def test_too_many_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much to look through is refused, not passed half seen."""
    monkeypatch.setattr("sekisho.content.walk.STRINGS_MAX", 50)

    with pytest.raises(BadRequest, match="50 strings") as caught:
        SCANNER.scan(body("x", more=["y"] * 60))
    assert "content_not_scannable" == caught.value.code


def test_too_many_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of addresses beyond the limit is refused: the record could not be masked."""
    monkeypatch.setattr(scan_module, "FOUND_MAX", 5)

    with pytest.raises(BadRequest):
        SCANNER.scan(body(" ".join(f"a{n}@example.com" for n in range(7))))


def test_too_deep() -> None:
    """The walk has its own bound and no recursion."""
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]

    with pytest.raises(BadRequest):
        SCANNER.scan(deep)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_body_can_be_scanned(parsed: Any) -> None:
    """No body makes the scanner fall over, and every place it tells exists."""
    for hit in SCANNER.scan(parsed).found:
        value = parsed
        for step in hit.path[:-1] if hit.path[-1] == KEY else hit.path:
            value = value[step] if hit.path[-1] != KEY or step != hit.path[-2] else step
        assert 0 <= hit.start < hit.end


@given(JSON, st.integers(0, 10**6))
def test_a_card_anywhere_is_found(parsed: Any, seed: int) -> None:
    """Put beside any other content, at a place of its own, the number is still found."""
    places = [{"x": parsed, "y": CARD}, [parsed, CARD], {"y": {CARD: parsed}}]

    assert "card" in SCANNER.scan(places[seed % 3]).entities
