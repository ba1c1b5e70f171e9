from __future__ import annotations

import pytest

from sekisho.errors import Conflict
from sekisho.model.revisions import (
    Activation,
    Report,
    Revision,
    before,
    beginning,
    is_revision,
    needs_report,
)

DIGEST = "sha256:" + "ab" * 32
ROW = Revision(DIGEST, "sha256:" + "cd" * 32, "policies", 0, ("author-1",))


def test_names_of_revisions() -> None:
    """Whole, or a beginning that people copy; nothing that could lead elsewhere."""
    assert is_revision(DIGEST)
    assert beginning(DIGEST) == DIGEST
    assert beginning("ababab") == "sha256:ababab"
    for text in ("ab", "ABABAB", "sha256:", "../abab", "abab%", "", "a" * 65):
        assert beginning(text) is None
        assert not is_revision(text)


@pytest.mark.parametrize(
    ("contents", "against"), [("other", "active"), (ROW.contents, "older"), ("other", "older")]
)
def test_a_report_is_about_these_files_and_what_is_in_force(contents: str, against: str) -> None:
    """One about other tests, or against what is no longer in force, is none."""
    with pytest.raises(Conflict):
        needs_report(ROW, "active", Report(DIGEST, against, contents, "event", 0))
    with pytest.raises(Conflict):
        needs_report(ROW, "active", None)
    good = Report(DIGEST, "active", ROW.contents, "event", 0)
    assert needs_report(ROW, "active", good) is good


def _line(*steps: tuple[str, str | None, bool]) -> list[Activation]:
    return [Activation(n, new, old, "x", back, n) for n, (new, old, back) in enumerate(steps)]


def test_what_was_before() -> None:
    """Back twice ends two earlier; a revision that came again goes back to where it came from."""
    there = _line(("b", "a", False), ("c", "b", False))
    assert before("c", there) == "b"
    back = [*there, *_line(("b", "c", True))]
    assert before("b", back) == "a"
    again = [*back, *_line(("c", "b", False), ("a", "c", False))]
    assert before("a", again) == "c"
    for active, line in (("a", there), (None, there), ("b", _line(("b", None, False)))):
        with pytest.raises(Conflict):
            before(active, line)
