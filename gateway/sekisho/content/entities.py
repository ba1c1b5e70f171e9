"""Kinds of things the scanner looks for, as data: a gate, a pattern, a check.

A rule runs only if one of its `gate` words is in the text (or, without any, if there are enough
digits), so plain prose costs one pass. Patterns are RE2: linear time whatever the sender writes.
Boundaries are ASCII, so an identifier that touches Chinese or Japanese text is found. What the
checks cannot tell apart counts as a hit.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import re2

CARD_DIGITS_MAX = 19  # ISO/IEC 7812

Spans = Iterator[tuple[int, int]]

_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|5\d{15}"  # Mastercard, Maestro
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3[0689]\d{12}"  # Diners Club
    r"|35\d{14,17}"  # JCB
    r"|6\d{12,18}"  # Discover, UnionPay, Maestro
    r"|81\d{14,17}"  # UnionPay
)
_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice the digit, its digits added
_GROUP = re.compile(r"\d+")
_AMEX_GROUPS = ((4, 6, 5), (4, 6, 4))
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECKS = "10X98765432"  # ISO 7064 mod 11-2, by remainder
_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of entity. `within` narrows a match of `pattern` to the spans that really count."""

    entity: str
    gate: tuple[str, ...]
    pattern: str
    within: Callable[[str, int, int], Spans] | None = None


def _whole(text: str, start: int, end: int) -> bool:
    """No further digit on either side."""
    return not ((start and text[start - 1 : start].isdecimal()) or text[end : end + 1].isdecimal())


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number fits."""
    summed = digits[-1::-2] + digits[-2::-2].translate(_DOUBLED)
    return sum(map(int, summed)) % 10 == 0


def _cards(text: str, start: int, end: int) -> Spans:
    """Card numbers in a run of digits, which other numbers may stand beside."""
    alone = text[start:end].replace(" ", "").replace("-", "")
    if _CARD.fullmatch(alone) and luhn(alone):
        yield start, end
        return
    groups = [(match.start() + start, match[0]) for match in _GROUP.finditer(text[start:end])]
    if all(len(digits) == 1 for _, digits in groups):
        return  # a table of one-digit numbers; as a whole it is no card
    first = 0
    while first < len(groups):
        last = _card_from(groups, first)
        if last is None:
            first += 1
            continue
        yield groups[first][0], groups[last][0] + len(groups[last][1])
        first = last + 1


def _card_from(groups: list[tuple[int, str]], first: int) -> int | None:
    """The last group of the card number that begins at group `first`."""
    digits = ""
    found = None
    for last in range(first, len(groups)):
        digits += groups[last][1]
        if len(digits) > CARD_DIGITS_MAX:
            break
        sizes = tuple(len(group) for _, group in groups[first : last + 1])
        even = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]
        if (even or sizes in _AMEX_GROUPS) and _CARD.fullmatch(digits) and luhn(digits):
            found = last
    return found


def _resident_ids(text: str, start: int, end: int) -> Spans:
    """Chinese resident identity numbers: a date that exists and ISO 7064 mod 11-2."""
    number = re.sub(r"[^0-9X]", "", text[start:end].upper())
    if not _whole(text, start, end):
        return
    try:
        dt.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return
    total = sum(
        weight * int(digit) for weight, digit in zip(_RESIDENT_WEIGHTS, number, strict=False)
    )
    if _RESIDENT_CHECKS[total % 11] == number[17]:
        yield start, end


_S = "[ -]{0,3}"  # how people set groups of digits apart

RULES = (
    Rule(
        "email",
        ("@",),
        r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9][A-Za-z0-9.\-]{0,252}\.[A-Za-z]{2,24}",
    ),
    Rule("card", (), rf"[0-9](?:{_S}[0-9]){{12,}}", _cards),
    Rule(
        "resident_id",
        (),
        rf"[1-9][0-9]{{5}}{_S}(?:18|19|20)[0-9]{{2}}{_S}[01][0-9]{_S}[0-3][0-9]{_S}"
        rf"[0-9]{{3}}{_S}[0-9Xx]",
        _resident_ids,
    ),
    Rule("credential_aws", ("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    Rule(
        "credential_gcp",
        ("aiza", "gocspx-"),
        r"\b(?:AIza[0-9A-Za-z_\-]{35}|GOCSPX-[0-9A-Za-z_\-]{28})",
    ),
    Rule("credential_azure", ("accountkey=",), r"(?i)\bAccountKey=[A-Za-z0-9+/]{86}=="),
    Rule("credential_alibaba", ("ltai",), r"\bLTAI[0-9A-Za-z]{12,28}\b"),
    Rule("credential_tencent", ("akid",), r"\bAKID[0-9A-Za-z]{28,40}\b"),
    Rule(
        "credential_github",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{22,255})\b",
    ),
    Rule(
        "credential_gitlab",
        ("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glft-", "glagent-"),
        r"\bgl(?:pat|dt|rt|ptt|cbt|soat|ft|agent)-[0-9A-Za-z_\-]{20,255}",
    ),
    Rule(
        "credential_slack",
        ("xox", "xapp-", "hooks.slack.com"),
        r"\b(?:xox[abceoprs]-[0-9A-Za-z\-]{10,255}|xapp-[0-9]-[0-9A-Za-z\-]{10,255})"
        r"|hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z/]{20,100}",
    ),
    Rule(
        "credential_stripe",
        ("k_live_", "k_test_", "whsec_"),
        r"\b(?:[sr]k_(?:live|test)_[0-9A-Za-z]{16,255}|whsec_[0-9A-Za-z+/]{24,64})",
    ),
    Rule("credential_anthropic", ("sk-ant-",), r"\bsk-ant-[0-9A-Za-z_\-]{20,255}"),
    Rule("credential_sekisho", ("sk-sekisho-",), r"\bsk-sekisho-[0-9A-Za-z_\-]{16,255}"),
    Rule(
        "credential_openai",
        ("sk-",),
        r"\b(?:sk-(?:proj|svcacct|admin|service|None)-[0-9A-Za-z_\-]{20,255}"
        r"|sk-[0-9A-Za-z]{32,255}\b)",
    ),
    Rule("credential_huggingface", ("hf_",), r"\bhf_[0-9A-Za-z]{34,64}\b"),
    Rule(
        "credential_jwt",
        ("eyj",),
        r"\beyJ[0-9A-Za-z_\-]{8,}\.eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]{8,}",
    ),
    Rule(
        "credential_private_key",
        ("private key",),
        rf"{_BEGIN}(?:[^\x00]*?{_END}|[0-9A-Za-z+/=\s\\]*)",
    ),
)
KINDS = frozenset(rule.entity for rule in RULES)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule ready to run."""

    rule: Rule
    regex: re2._Regexp

    def spans(self, text: str) -> Spans:
        """Where the entity stands in `text`."""
        within = self.rule.within
        for match in self.regex.finditer(text):
            start, end = match.span()
            if within is None:
                yield start, end
            else:
                yield from within(text, start, end)


COMPILED = tuple(Compiled(rule, re2.compile(rule.pattern)) for rule in RULES)
DIGIT_GATE = re2.compile(r"[0-9](?:[ -]{0,3}[0-9]){12}")
"""What the rules without gate words need at least."""
