"""What can be set and what can go wrong is documented, because the pages come from the code."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from sekisho_audit.events import NOT_YET_WRITTEN, TYPES
from sekisho_audit.schemas import document
from support import event_reference, policy_advice, policy_reference, reference
from support.advice import WHAT_TO_DO

# What makes an event, or one of another type.
MAKERS = {"Event", "event", "_own", "record", "replace"}
HOW = "run `python -m support.reference` in tests/ with the project's interpreter"


def test_every_setting_is_documented() -> None:
    """docs/reference/settings.md is what the code says."""
    assert reference.SETTINGS_PAGE.read_text() == reference.settings_page(), HOW


def test_every_error_code_is_documented() -> None:
    """docs/reference/errors.md is what the code says."""
    assert reference.ERRORS_PAGE.read_text() == reference.errors_page(), HOW


def test_every_error_code_says_what_to_do() -> None:
    """Whoever sees only a code finds the next step in tests/support/advice.py; no line is stale."""
    assert WHAT_TO_DO.keys() == reference.codes()
    assert all(text.endswith((".", "?")) and "|" not in text for text in WHAT_TO_DO.values())


def test_the_contract_with_policy_is_documented() -> None:
    """docs/reference/policy.md is what models, obligations and shipped rules say."""
    assert reference.POLICY_PAGE.read_text() == policy_reference.policy_page(), HOW


def test_every_reason_code_says_what_to_do() -> None:
    """Rules, fold and gateway: each code has a meaning and a next step; no line is stale."""
    given = policy_reference.reason_codes()
    assert {one.code for one in given} == policy_advice.WHAT_TO_DO.keys()
    assert policy_advice.CAUSES.keys() == policy_reference.embedded_causes()
    assert policy_advice.MEANS.keys() == {one.code for one in given if one.by == "the gateway"}
    assert all(one.means.endswith(".") and "|" not in one.means for one in given), given
    assert all(text.endswith(".") and "|" not in text for text in policy_advice.WHAT_TO_DO.values())


def test_every_member_of_the_contract_says_what_it_means() -> None:
    """A rule is written by people who never read the gateway's code."""
    for model in (policy_reference.asked.InputWire, policy_reference.answer.DecisionWire):
        members = policy_reference.members(model)
        assert len(members) > 15
        assert not [one.path for one in members if not one.means.endswith(".")]


def test_every_setting_says_why() -> None:
    """A knob without a reason is turned by guessing."""
    rows = [line for line in reference.settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert not [row for row in rows if row.rstrip(" |").endswith("`")]


def test_every_event_is_documented() -> None:
    """docs/reference/events.md is what the tables say."""
    assert reference.EVENTS_PAGE.read_text() == event_reference.events_page(), HOW


def test_the_published_schemas_are_those_of_the_tables() -> None:
    """audit/schemas/events-v1.json is generated, and says as JSON what the code says."""
    text = reference.SCHEMAS_FILE.read_text()
    assert text == event_reference.schemas_file(), HOW
    assert json.loads(text) == json.loads(json.dumps(document()))


def test_every_type_is_emitted_or_said_not_to_be(root: Path, sources: list[Path]) -> None:
    """A type that nobody writes promises evidence that will not be there."""
    emitted = {
        argument.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in MAKERS
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(argument, ast.Constant) and argument.value in TYPES
    }
    assert emitted == TYPES.keys() - NOT_YET_WRITTEN
