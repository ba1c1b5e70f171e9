"""data.yaml: every slip of an admin is told with its line, none does nothing in silence."""

from __future__ import annotations

import pytest

from sekisho.adapters.policy_data import NotPolicyData, read_data
from support.rules import SHIPPED

LEAST = """
groups:
  employees:
    models: ["*"]
hosted_tools: {}
function_tools: {}
unknown_fields: {}
labels: {}
entities: {}
hold: {}
records: {}
"""


def faults(source: str) -> list[tuple[int, str]]:
    """Line and text of what is wrong."""
    with pytest.raises(NotPolicyData) as caught:
        read_data(source.encode())
    return caught.value.faults


def test_shipped() -> None:
    """The shipped file reads, and comes out as it stands there, without defaults filled in."""
    data = read_data((SHIPPED / "data.yaml").read_bytes())

    assert ["*"] == data["groups"]["employees"]["models"]
    assert "max_tokens" not in data["groups"]["employees"]


def test_least() -> None:
    """What has a default may be left out."""
    assert {"employees": {"models": ["*"]}} == read_data(LEAST.encode())["groups"]


@pytest.mark.parametrize(
    ("wrong", "line", "text"),
    [
        (LEAST.replace("groups:", "grops:"), 2, "grops"),
        (LEAST.replace('models: ["*"]', 'model: ["*"]'), 4, "model"),
        (LEAST.replace('models: ["*"]', "models: all"), 4, "models"),
        (LEAST.replace('models: ["*"]', 'models: ["*"]\n    max_tokens: "5"'), 5, "max_tokens"),
        (LEAST.replace('models: ["*"]', 'models: ["*"]\n    max_tokens: 0'), 5, "max_tokens"),
        (LEAST.replace("employees:", "no:"), 3, "must be plain text"),
        (LEAST.replace("employees:", "7:"), 3, "must be plain text"),
        (LEAST + "groups: {}\n", 12, "stands twice"),
        (LEAST + "words:\n  a: [x]\n  a: [y]\n", 14, "stands twice"),
        (LEAST + "words:\n  a: &x [x]\n  b: *x\n", 13, "an alias"),
        (LEAST + "words:\n  <<: {a: [x]}\n", 13, "merge nothing"),
        (LEAST + "words:\n  a: [on]\n", 13, "words.a.0"),
        (LEAST.replace("hold: {}", "hold: {ttl_s: 0}"), 10, "hold.ttl_s"),
        (LEAST.replace("hold: {}", "hold: {approve: 0}"), 10, "hold.approve"),
        (LEAST.replace("hold: {}", "hold: {risk: 101}"), 10, "hold.risk"),
        (LEAST.replace("records: {}", "records: {log_level: all}"), 11, "records.log_level"),
        (LEAST + "a: [\n", 13, ""),
        (LEAST + "when: 2026-01-01\n", 12, "when"),
    ],
)
def test_faults(wrong: str, line: int, text: str) -> None:
    """Line and name of what is wrong."""
    found = faults(wrong)

    assert any(text in said for _, said in found), found
    assert line in [place for place, _ in found]


@pytest.mark.parametrize("source", ["", "[]", "7", "null", "!!python/object:os.system {}", "\x00"])
def test_not_even_close(source: str) -> None:
    """Other YAML, empty files and tags that would make objects are refused."""
    assert faults(source)


def test_all_faults_at_once() -> None:
    """An admin sees all of them."""
    wrong = LEAST.replace("hold: {}", "hold: {risk: 101, ttl_s: 0}") + "extra: 1\n"

    assert {"hold.risk", "hold.ttl_s", "extra"} <= {text.split(":")[0] for _, text in faults(wrong)}
