"""What a check says of an entry is what the fold does with it when its rule fires."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.policy_eval import decide_once
from sekisho.adapters.policy_lint import lint
from support.rules import bundle, document

RULE = """# METADATA
# title: X
package packs.team.x

# METADATA
# title: X
{kind} contains {entry} if input.stage == "request"
"""
UNFIT = {
    ("obligation", '{"redcat": ["email"]}'): "no obligation redcat: it would refuse",
    ("obligation", '{"max_tokens": 5, "hold": {}}'): "there is no obligation hold",
    ("obligation", '"label_output"'): "is an object, not: string",
    ("obligation", "[1]"): "is an object, not: array",
    ("deny", '"no"'): "is an object, not: string",
    ("deny", "true"): "is an object, not: boolean",
    ("deny", "{1}"): "is an object, not: set",
    ("deny", '{"code": "x"}'): "an entry of deny has no msg",
    ("deny", '{"message": "X."}'): "an entry of deny has no code and no msg",
    ("hold", '{"code": "x"}'): "an entry of hold has no msg",
    ("allow", "null"): "is an object, not: null",
}
FIT = [
    ("obligation", '{"redact": ["email"], "label_output": true}'),
    ("obligation", '{"notify": []}'),
    ("deny", '{"code": "x", "msg": "X."}'),
    ("deny", 'object.union({"code": "x"}, {"msg": "X."})'),
    ("hold", '{"code": "x", "msg": "X.", "ttl_s": 60}'),
    ("obligation", '{lower("LABEL_OUTPUT"): true}'),
]


def judged(folder: Path, kind: str, entry: str) -> tuple[list[str], bool]:
    """What the check says, and whether the fold refuses what the rule gives."""
    made = read_bundle(
        bundle(folder, packs__team__x=RULE.replace("{kind}", kind).replace("{entry}", entry))
    )
    said = [str(fault) for fault in lint(made)]
    decision = decide_once(made, document(), why=False).decision
    return said, any(reason.code == "malformed_rule" for reason in decision.reasons)


@pytest.mark.parametrize(("kind", "entry"), UNFIT)
def test_what_the_fold_never_takes_is_told(tmp_path: Path, kind: str, entry: str) -> None:
    """With the place of the rule and what was probably meant."""
    said, refused = judged(tmp_path, kind, entry)
    assert refused
    assert len(said) == 1
    assert said[0].startswith("packs/team/x.rego:7:1: ")
    assert UNFIT[kind, entry] in said[0]
    assert ("did you mean redact?" in said[0]) is ("redcat" in entry)


@pytest.mark.parametrize(("kind", "entry"), FIT)
def test_nothing_else_is_told(tmp_path: Path, kind: str, entry: str) -> None:
    """What fits, and what is computed: of that nothing can be said."""
    assert judged(tmp_path, kind, entry) == ([], False)
