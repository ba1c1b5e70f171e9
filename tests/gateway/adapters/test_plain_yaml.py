"""The quick reader says what the full one says, or nothing: for random documents and for the line
between what it knows and what it leaves.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sekisho.adapters import plain_yaml
from sekisho.adapters.plain_yaml import LINE_CHARS_MAX, read_plain
from sekisho.adapters.policy_data import _Loader, _refuse_tricks
from support.rules import SHIPPED

WORDS = st.sampled_from(
    [
        "a", "b", "staff-7", "model-*", "principal:*", "top secret", "yes", "On", "NULL", "true",
        "False", "y", "~", "1", "0", "007", "1.5", "1e3", "0x1f", "12:30", "1_000", "2026-01-02",
        ".inf", "a:b", "a: b", "a #b", "#", "a#b", "-", "- a", "*", "*a", "&a", "!x", "|", ">", "%",
        "@", "`", "?", "? a", ":", "<<", "=", "a,b", "[a]", "{a}", '"', "'", '"a', "it's", "a\\n",
        "绝密", "机密★", "★ x", "（a）：b", "客户 名单",
        "é", "\u00a0", "\ufeff", "\x85", "\u2028", "\t", "", " ", "a ", "(a)",
        "a (b) c", "a?b", "who?", "18446744073709551616", "a:", "x: y: z", "---", "...", "a  b",
    ]
)  # fmt: skip
SCALARS = WORDS | st.booleans() | st.none() | st.integers() | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.booleans(), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(WORDS, VALUES, max_size=4)
PIECES = st.sampled_from(
    [
        "a: ", "b:", "- ", "a", '"q"', "'s'", "[", "]", "{", "}", ", ", ",", ": ", ":", "\n",
        "\n  ", "\n    ", "\n- ", "\n  - ", " # c", "#", "1", "2.5", "-1", "*", "&x ", "!!str ",
        "|", "yes", "true", "\n\n", " ", "c d", "?", "\n---\n", "\n...\n", "\t", "\r\n", "<<: ",
        "k", "\\", '"', "'", "★", "\u3000", "\ufeff",
        "principal:*", "\na: ", "\nb:", "\nc:\n  ", "{k: 1}", "[a, 1]",
    ]
)  # fmt: skip

ENTRY_PIECES = st.sampled_from(
    [
        "  b:\n", "  b: 1\n", "  c: [x]\n", "    d: 2\n", "    e:\n", "      f: 3\n", "  - g\n",
        "    - h\n", "  - i: 4\n", "a:\n", "j: 5\n", "# k\n", "   # l\n", "\n", "   \n",
        "   m: 6\n",
        "  'n':\n", "  - \n", "  b", "    o",
    ]
)  # fmt: skip


def full(source: bytes) -> Any:
    """What the full reader gives; Ellipsis for what it refuses."""
    loader = _Loader(source)
    try:
        tree = loader.get_single_node()
        _refuse_tricks(tree)
        return loader.construct_document(tree) if tree is not None else {}
    except (yaml.YAMLError, ValueError, TypeError):
        return ...
    finally:
        loader.dispose()


def same(source: str) -> bool:
    """Whether the quick reader knows `source`; asserts that it tells the truth then."""
    quick = read_plain(source.encode())
    if quick is None:
        return False
    slow = full(source.encode())
    assert (repr(slow), type(slow)) == (repr(quick), dict), source
    return True


@given(DOCUMENTS, st.sampled_from([None, True, False]), st.sampled_from([2, 4]))
@settings(max_examples=400)
def test_written_documents(document: dict[str, Any], flow: bool | None, indent: int) -> None:
    """However a document was written out, it is read as the full reader reads it."""
    for unicode in (True, False):
        same(
            yaml.safe_dump(
                document,
                default_flow_style=flow,
                indent=indent,
                allow_unicode=unicode,
                width=2000,
                sort_keys=False,
            )
        )


@given(st.lists(PIECES, max_size=14).map("".join))
@example("a:\n- b\n-  c")
@example("a: b\n  c: d")
@example("a:\n  - b: 1\n    c: 2\n  - b: 3\n")
@example("a: [b\n]")
@settings(max_examples=1500)
def test_any_text(source: str) -> None:
    """Whatever stands there, also what is no YAML at all."""
    same(source)
    same("a: " + source)


@pytest.mark.parametrize(
    "source",
    [
        "a: [机密★, b]\nb:\n- 密★ （x）\n",
        "a:\n  b: 1\n  c: [x, 'y', \"z\"]  # why\nd:\n- e\n- f: 1\n  g: {h: 2.5, i: true}\n",
        'limits:\n  - {for: "principal:*", concurrent: 16}\n  - for: principal:svc-*\n    m: 1\n',
        "a: Such papers never leave (the house), it's said.\n",
        "words:\n  secret: [绝密, 極秘]\n",
        "# only\n\na: {}  # empty\nb: []\n",
        "staff-1:\n  models:\n  - model-*\n  - own-1\n  cap: 4096\nstaff-2:\n  blocked: false\n",
    ],
)
def test_what_it_knows(source: str) -> None:
    """Lines as people and programs write them into data.yaml."""
    assert same(source)


def test_the_shipped_data() -> None:
    """Else a reload would be slow."""
    assert same((SHIPPED / "data.yaml").read_text("utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "a: *b\n", "a: &b 1\n", "a: !!str 1\n", "a: |\n  x\n", "a: yes\n", "a: 1\na: 2\n",
        "a: {b: 1, b: 2}\n", "a: b\n  c\n", 'a: "\\x41"\n', "a: 'it''s'\n", "a:\n", "a: ~\n", "",
        "- a\n", "1: a\n", "true: a\n", "<<: {a: 1}\n", "a: 010\n", "a: 2026-01-02\n",
        "---\na: 1\n",
        "a: 1\n...\n", "%YAML 1.1\n---\na: 1\n", "\ufeffa: 1\n", "a: b\r\n", "a:\tb\n", "a: [b,]\n",
        "a: [[[[[[[[[1]]]]]]]]]\n", "a: [b\n", "a: {b}\n", "a: x\x07\n",
        f"a: {'x' * LINE_CHARS_MAX}\n",
        "a: 12345678901234567890\n", "a: [b c]\n", "a: {b:1}\n", "a: b: c\n", "a: 'b' c\n",
    ],
)  # fmt: skip
def test_what_it_leaves(source: str) -> None:
    """One doubtful line, and the other reader has all of it."""
    assert read_plain(source.encode()) is None


def test_bytes_that_are_no_text() -> None:
    """Not UTF-8: left to the other reader, which refuses it."""
    assert read_plain(b"a: \xff\n") is None


@given(st.lists(ENTRY_PIECES, max_size=10).map("".join))
@example("a:\n  b:\n  - c\n")
@example("a:\n  b:\n  - c\n  d:\n    e: 1\n")
@example("a:\n  b: 1\n\n    # c\n  b: 2\n")
@example("a:\n  b:\n    c: 1\n# d\n    e: 1\n")
@example("a:\n  b: 1\n  - c\n")
@example("  b:\n    c: 1\n")
@settings(max_examples=1000)
def test_entries(source: str) -> None:
    """Entries that are remembered say in any document what their lines say there."""
    same(source)
    same("a:\n" + source)
    same("a: 1\n" + source)


def test_entries_are_remembered_within_bounds() -> None:
    """The second reading of many entries is the first one's; a long one is read each time."""
    long = "x" * (LINE_CHARS_MAX // 2)
    rows = "".join(f"  long-{row}:\n    a: {long}\n    b: {long}\n" for row in range(3))
    source = (
        "a:\n" + "".join(f"  k-{row}:\n    cap: {row}\n" for row in range(50)) + rows
    ).encode()
    first = read_plain(source)
    before = plain_yaml._kept_entry.cache_info()
    assert first is not None
    assert read_plain(source) == first
    after = plain_yaml._kept_entry.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (50, 0)
