"""Names of OpenTelemetry."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit import otel
from sekisho_audit.events import TYPES
from sekisho_audit.kinds import DOCUMENT

REGISTRY = Path(__file__).resolve().parents[1] / "golden" / "otel_gen_ai.txt"


def test_the_conventions_have_these_names() -> None:
    """In the version that is named; a wrong name would be found by nobody's dashboard."""
    lines = REGISTRY.read_text().splitlines()
    assert f"# {otel.CONVENTIONS}" in lines
    names = {attribute.name for names in otel.ATTRIBUTES.values() for attribute in names.values()}
    assert names <= set(lines)


@pytest.mark.parametrize("kind", otel.ATTRIBUTES)
def test_names_are_given_to_fields_that_exist(kind: str) -> None:
    """Or to members of a document, whose names the table does not know."""
    for path in otel.ATTRIBUTES[kind]:
        name, _, member = path.partition(".")
        assert bool(member) is (TYPES[kind].fields[name].kind is DOCUMENT)
