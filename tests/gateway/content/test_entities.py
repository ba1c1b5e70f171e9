"""What each rule finds and what it leaves alone."""

from __future__ import annotations

import random

import pytest

from sekisho.content.entities import COMPILED, RULES, luhn
from sekisho.content.scan import Scanner

SCANNER = Scanner()


def kinds(text: str) -> dict[str, int]:
    """What is found in one string."""
    return dict(SCANNER.scan([text]).entities)


def _joined(*parts: str) -> str:
    """Made-up secrets are put together here, so that no file of ours holds one whole."""
    return "".join(parts)


SECRETS = {
    "credential_aws": _joined("AKIA", "IOSFODNN7EXAMPLE"),
    "credential_gcp": _joined("AIza", "SyA1234567890abcdefghijklmnopqrstuv"),
    "credential_azure": _joined("AccountKey=", "a" * 86, "=="),
    "credential_alibaba": _joined("LTAI", "5tAbCdEfGhIjKlMnOpQr"),
    "credential_tencent": _joined("AKID", "z8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"),
    "credential_github": _joined("ghp_", "a1B2" * 9),
    "credential_gitlab": _joined("glpat-", "xyz_1234567890abcdef"),
    "credential_slack": _joined("xoxb-", "123456789012-abcdefABCDEF"),
    "credential_stripe": _joined("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"),
    "credential_anthropic": _joined("sk-ant-", "api03-abcdefghijklmnopqrstuv"),
    "credential_sekisho": _joined("sk-sekisho-", "ab12cd34-abcdefghijklmnopqrstuvwxyz"),
    "credential_openai": _joined("sk-", "proj-abcdefghijklmnopqrstuvwxyz0123"),
    "credential_huggingface": _joined("hf_", "abcdefghijklmnopqrstuvwxyzABCDEFGH"),
    "credential_jwt": _joined(
        "eyJ", "hbGciOiJIUzI1NiJ9.", "eyJ", "zdWIiOiIxMjM0In0.", "c2lnbmF0dXJl"
    ),
    "credential_private_key": _joined(
        "-----BEGIN RSA ", "PRIVATE KEY-----\nMIIE\n", "-----END RSA PRIVATE KEY-----"
    ),
}  # fmt: skip


def test_every_credential_has_a_case() -> None:
    """A rule without a made-up secret here would be a rule nobody tried."""
    assert {rule.entity for rule in RULES if rule.entity.startswith("credential_")} == set(SECRETS)


@pytest.mark.parametrize("entity", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "key: {}.", "密钥是{}，请保密", "x\n{}\ny", '"{}"'])
def test_credentials(entity: str, frame: str) -> None:
    """Each kind is found alone, in prose, beside Chinese, on its own line and in quotes."""
    assert {entity: 1} == kinds(frame.format(SECRETS[entity]))


@pytest.mark.parametrize(
    "text",
    [
        "AKIA is the prefix of an AWS key",
        "risk-based and task-oriented work, sk-learn",
        "sk-estimator-pipeline-for-the-second-quarter",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "eyJ is how a token begins",
        "the github_pat_ prefix",
    ],
)
def test_talk_about_credentials(text: str) -> None:
    """Prose that names a prefix is not a secret."""
    assert {} == kinds(text)


def test_private_key_without_its_end() -> None:
    """A key block that was cut off is found too, and the prose after it is left alone."""
    text = _joined("-----BEGIN PRIVATE ", "KEY-----\nMIIEvQIBADAN\nBgkq") + "\n\n密钥在上面。"

    (hit,) = SCANNER.scan([text]).found

    assert text[hit.end :].strip() == "密钥在上面。"


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111  1111  1111  1111",
        "卡号4111111111111111，有效期",
        "カード番号は4111 1111 1111 1111です",
        "invoice 12 4111 1111 1111 1111 paid",
        "4111 1111 1111 1111 12/27",
        "order4111111111111111",
        "3782 822463 10005",
        "378282246310005",
        "6200000000000005",
        "5555555555554444",
        "2223003122003222",
        "3530111333300000",
        "30569309025904",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ],
)
def test_cards(text: str) -> None:
    """Numbers that pass the check, however they are set and whatever stands beside them."""
    assert {"card": 1} == kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "41111111111111111111111111",
        "0000000000000000",
        "1234567890123456",
        "2024-01-15 10:30:00.123456",
        "+49 170 1234567, +49 170 7654321",
        "1 0 1 0 1 1 1 0 0 1 1 0 1 0 1 0 1 1 1 0 4 1 1 1",
    ],
)
def test_numbers_that_are_no_cards(text: str) -> None:
    """Wrong check digits, long hashes, times and telephone numbers are left alone."""
    assert {} == kinds(text)


def test_every_wrong_digit_is_seen() -> None:
    """Luhn sees any single digit changed."""
    number = "4111111111111111"
    for place in range(len(number)):
        for digit in "0123456789":
            other = number[:place] + digit + number[place + 1 :]
            assert luhn(other) is (other == number)


def resident_id(random_: random.Random) -> str:
    """A made-up number with a right check digit."""
    body = (
        f"110101{random_.randint(1930, 2020)}{random_.randint(1, 12):02}{random_.randint(1, 28):02}"
    )
    body += f"{random_.randint(0, 999):03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(w * int(d) for w, d in zip(weights, body, strict=True))
    return body + "10X98765432"[total % 11]


def test_resident_ids() -> None:
    """All of 300 made-up ones touching Chinese text, with X in either case."""
    random_ = random.Random(7)  # noqa: S311 - made-up numbers, the same each time
    for _ in range(300):
        number = resident_id(random_)
        assert 1 == kinds(f"身份证号{number}，请核对").get("resident_id")
        assert 1 == kinds(number.lower()).get("resident_id")


@pytest.mark.parametrize(
    "text",
    ["11010519491231002Y", "110105194913310020", "1101051949123100211", "110105194902300027"],
)
def test_no_resident_ids(text: str) -> None:
    """A wrong letter, month or day that does not exist, or one digit too many."""
    assert "resident_id" not in kinds(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mail a.b+c@example.com.", "a.b+c@example.com"),
        ("请联系zhang@example.cn谢谢", "zhang@example.cn"),
        ("<bob@mail.example.org>", "bob@mail.example.org"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    """The span is the address, no more and no less."""
    (hit,) = SCANNER.scan([text]).found

    assert address == text[hit.start : hit.end]


@pytest.mark.parametrize("text", ["@decorator", "user@host", "a@b", "1 @ 2.50", "x@.com"])
def test_no_addresses(text: str) -> None:
    """An at sign alone makes no address."""
    assert {} == kinds(text)


def test_patterns_are_linear() -> None:
    """All patterns compiled with RE2, which has no backtracking to run away with."""
    assert {"re2"} == {type(compiled.regex).__module__ for compiled in COMPILED}
