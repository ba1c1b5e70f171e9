"""What an admin reads after a slip: the place, what it must be, what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.policy_data import NotPolicyData, read_data
from support.rules import SHIPPED

SOURCE = Path(SHIPPED / "data.yaml").read_text("utf-8")
NEW_LINE = len(SOURCE.splitlines()) + 1


def told(source: str) -> list[tuple[int, str]]:
    """Line and text of what is wrong."""
    with pytest.raises(NotPolicyData) as caught:
        read_data(source.encode())
    assert "pydantic" not in str(caught.value)
    assert "Input should" not in str(caught.value)
    return [(line, text) for (line, _), text in caught.value.faults]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            '{for: "group:a", request_per_min: 5}',
            "limits.0.request_per_min: no such limit; did you mean requests_per_min?",
        ),
        (
            '{for: "group:a", spend_per_day: true}',
            "limits.0.spend_per_day: must be an amount of at most six decimals, as 50 or 2.50",
        ),
        ('{for: "group:a", concurrent: 1.5}', "limits.0.concurrent: must be a whole number"),
        ('{for: "group:a", concurrent: 0}', "limits.0.concurrent: must be at least 1"),
        ("{concurrent: 1}", "limits.0.for: is missing"),
    ],
)
def test_a_slip_in_a_limit_is_told_once_in_words(line: str, text: str) -> None:
    """A value that could be of several types is one fault."""
    assert told(f"{SOURCE}limits:\n  - {line}\n") == [(NEW_LINE + 1, text)]


def test_what_a_limit_is_for_is_told_with_examples() -> None:
    """And not as a pattern for machines."""
    ((line, text),) = told(f'{SOURCE}limits:\n  - {{for: "team:a", concurrent: 1}}\n')
    assert line == NEW_LINE + 1
    assert '"group:sales"' in text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("  sales:", "  Sales:", "groups.Sales: never applies"),
        ("principals: {}", "principals: {Staff-7: {}}", "did you mean staff-7?"),
        ('reviewers: "reviewer"', 'reviewers: "Reviewer"', "did you mean reviewer?"),
        ("  max_tokens: 2048", "  max_token: 2048", "did you mean max_tokens?"),
        ('log_level: "redacted"', "log_level: all", "must be metadata, redacted or full"),
        ("hosted_tools:", "hosted_tool:", "did you mean hosted_tools?"),
        ("    attachments: true", "    zzz: true", "there are models, max_tokens, attachments"),
    ],
)
def test_a_name_that_means_nothing_is_told(before: str, after: str, text: str) -> None:
    """A misspelt name would be a rule that does nothing."""
    assert before in SOURCE
    assert any(text in fault for _, fault in told(SOURCE.replace(before, after, 1)))


@pytest.mark.parametrize("name", ["principal:Staff-7", "group:Sales EMEA", "group:-x"])
def test_a_limit_for_nobody_is_told(name: str) -> None:
    """Ids are lower case; a pattern with other signs fits none."""
    ((_, text),) = told(f'{SOURCE}limits:\n  - {{for: "{name}", concurrent: 1}}\n')
    assert text.startswith("limits.0.for: never applies")


@pytest.mark.parametrize(
    "name", ["principal:*", "principal:svc-?", "group:*-emea", "model:GPT-4*", "backend:Corp LLM"]
)
def test_patterns_and_other_names_are_as_free_as_before(name: str) -> None:
    """Models are called what their makers like."""
    assert read_data(f'{SOURCE}limits:\n  - {{for: "{name}", concurrent: 1}}\n'.encode())
