"""What is signed of a manifest is nothing else."""

from __future__ import annotations

import pytest

from sekisho_audit.checkpoint import BadNote, Checkpoint
from sekisho_audit.exports import bundle_form as form


def test_the_signed_text_is_no_checkpoint() -> None:
    """Or an export could sign a ledger that there never was."""
    text = form.signed_text(b"{}", "ledger.example", 7)
    with pytest.raises(BadNote):
        Checkpoint.parse(text)
    assert text.splitlines()[1] == "export 7 of ledger.example"


def test_a_manifest_is_one_text_for_one_content() -> None:
    one = form.manifest_bytes({"b": "证", "a": 1})
    assert one == form.manifest_bytes({"a": 1, "b": "证"})
    assert "证".encode() in one


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b", "A", ".a", "a/b/c", "", "a\\b", "a\n"])
def test_no_name_leads_elsewhere(name: str) -> None:
    assert not form.NAME.fullmatch(name)


def test_the_names_of_a_bundle_are_good() -> None:
    for name in (*form.REQUIRED, form.MANIFEST, form.SIGNATURE, f"payloads/{'a' * 64}"):
        assert form.NAME.fullmatch(name)
