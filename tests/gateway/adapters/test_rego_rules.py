"""Impure builtins and rules that nobody would read."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.errors import PolicyRejected
from support.rules import SHIPPED, bundle


def faults(tmp_path: Path, source: str, place: str = "packs__team__x") -> list[str]:
    """What is wrong with one more module; empty if nothing is."""
    try:
        read_bundle(bundle(tmp_path, **{place: source}))
    except PolicyRejected as error:
        return list(error.faults)
    return []


HEAD = "package packs.team.x\n\n"
IMPURE = {
    "call": 'x := http.send({"method": "get", "url": "http://x"})',
    "in a body": "x if { http.send({}) }",
    "in a comprehension": "x := [y | y := time.now_ns()]",
    "in a nested comprehension": 'x := {a | a := [b | b := rand.intn("s", 5)][_]}',
    "in a function": "f(y) := opa.runtime().env[y]",
    "in a key": 'x contains uuid.rfc4122("s")',
    "in every": "x if { every y in [1] { time.now_ns() > y } }",
    "in else": "x := 1 if { false } else := time.now_ns()",
    "in a default": "default f(_) := 1\n\nf(y) := time.now_ns() if y",
    "as a replacement": "x if { count([1]) == 1 with count as http.send }",
    "replaced": "x if { true with http.send as count }",
    "in a string template": 'x := $"{time.now_ns()}"',
    "name lookup": 'x := net.lookup_ip_addr("example.com")',
    "token with a clock": 'x := io.jwt.decode_verify("", {})',
    "certificates with a clock": 'x := crypto.x509.parse_and_verify_certificates("")',
    "schema over the network": 'x := json.match_schema({}, {"$ref": "http://x"})',
    "signing for a cloud": "x := providers.aws.sign_req({}, {}, 1)",
    "sleep": 'x if { test.sleep("1s") }',
}


@pytest.mark.parametrize("way", IMPURE)
def test_impure(tmp_path: Path, way: str) -> None:
    """No way of writing it gets past; the line is told."""
    said = faults(tmp_path, HEAD + IMPURE[way] + "\n")

    assert said, way
    assert any("may not be used" in text for text in said)
    places = ("packs/team/x.rego:3:", "packs/team/x.rego:5:")
    assert any(text.startswith(places) for text in said)


def test_columns(tmp_path: Path) -> None:
    """The place is where the name is written as code: not in a text, not in a comment."""
    source = HEAD + 'x := "http.send" # http.send\n\ny := [1, http.send({})]\n'

    (said,) = faults(tmp_path, source)

    assert said.startswith("packs/team/x.rego:5:10: http.send may not be used")


PURE = {
    "time that was given": 'x := time.parse_rfc3339_ns("2026-01-01T00:00:00Z")',
    "weekday": "x := time.weekday(input.context.time_ns)",
    "networks": 'x := net.cidr_contains("10.0.0.0/8", input.context.ip)',
    "hashes": 'x := crypto.sha256("a")',
    "words": 'x := "call http.send at night" # http.send',
    "data": "x := data.custom.http.send",
    "input": "x := input.http.send",
}


@pytest.mark.parametrize("way", PURE)
def test_pure(tmp_path: Path, way: str) -> None:
    """What depends on nothing but its arguments may be used; names in text do not matter."""
    assert [] == faults(tmp_path, HEAD + PURE[way] + "\n")


@pytest.mark.parametrize(
    ("package", "rule", "text"),
    [
        ("packs.team", 'deny contains {"code": "a", "msg": "A."}', "not read here"),
        ("packs.team.x.y", 'deny contains {"code": "a", "msg": "A."}', "not read here"),
        ("lib.x", 'hold contains {"code": "a", "msg": "A."}', "not read here"),
        ("packs.team.x", "deny := true", "must be a set"),
        ("packs.team.x", "deny if input.x", "must be a set"),
        ("packs.team.x", 'deny := {{"code": "a", "msg": "A."}}', "must be a set"),
        ("packs.team.x", 'deny.more contains {"code": "a", "msg": "A."}', "must be a set"),
        ("packs.team.x", 'obligation[name] := 1 if some name in ["a"]', "must be a set"),
        ("packs.team.x", "default allow := false", "must be a set"),
        ("packs.team.x", "deny(x) := x", "must be a set"),
        ("team.x", "x := 1", "must begin with packs."),
        ("sekisho", "x := 1", "the fold's own"),
        ("sekisho.more", "x := 1", "the fold's own"),
    ],
)
def test_dead_letters(tmp_path: Path, package: str, rule: str, text: str) -> None:
    """A rule that the fold would not read, or not as it was meant, is a fault."""
    said = faults(tmp_path, f"package {package}\n\n{rule}\n")

    assert any(text in fault for fault in said), said


def test_other_rules_are_free(tmp_path: Path) -> None:
    """Helpers, functions and libraries may be called what they like."""
    source = HEAD + "denials := 1\n\nholds if input.x\n\nf(deny) := deny\n"

    assert [] == faults(tmp_path, source)
    assert [] == faults(tmp_path / "2", "package lib.x\n\nf(x) := x\n", "lib__x")


def test_shipped() -> None:
    """The shipped rules keep all of this."""
    read_bundle(SHIPPED)


@pytest.mark.parametrize(
    ("place", "package", "text"),
    [
        ("packs__acme__x", "packs.default.zz", "belong into packs/default/"),
        ("packs__acme__x", "packs.acme", "must be packs.<pack>.<area>"),
        ("packs__acme__x", "packs.acme.x.y", "must be packs.<pack>.<area>"),
        ("packs__acme__x", 'packs.acme["\u0430"]', "of a-z, 0-9 and _"),
        ("packs__acme__x", "lib.text", "belong into the folder lib/"),
        ("packs__acme__x_test", "packs.acme.x", "whose name ends in _test"),
    ],
)
def test_a_file_is_what_its_place_says(tmp_path: Path, place: str, package: str, text: str) -> None:
    """The folder names the pack, and with it the mode; a rule among the tests would be no rule."""
    ordinary = "package packs.acme.ordinary\n\nx := 1\n"
    source = f"package {package}\n\nx := 1\n"
    with pytest.raises(PolicyRejected) as caught:
        read_bundle(bundle(tmp_path, packs__acme__ordinary=ordinary, **{place: source}))
    assert any(text in fault for fault in caught.value.faults)


@pytest.mark.parametrize("name", ["x.REGO", "x.Rego", "x.rego.txt", ".x.rego"])
def test_a_file_that_is_almost_one_of_rules(tmp_path: Path, name: str) -> None:
    """Whoever wrote it believes that it is read."""
    made = bundle(tmp_path)
    (made / "packs" / "default" / name).write_text("package packs.default.x\n")
    with pytest.raises(PolicyRejected, match="is not read: files of rules"):
        read_bundle(made)
