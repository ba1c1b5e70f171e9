"""Which share counts, who may judge, and what verdicts come to."""

from __future__ import annotations

from dataclasses import replace

from sekisho.model.samples import Sample, Terms, Verdict

ONE = Sample(
    *("s-1", "x-1", "staff-7", "m", "b", (), 0, 200, 1, 100, "whole", 2),
    barred=frozenset({"staff-7", "owner-1"}),
)
FINE, CONCERN = Verdict("r-1", "fine", 1), Verdict("r-2", "concern", 2)


def test_the_share_goes_by_risk() -> None:
    """From the risk of the settings on the other one counts; off is both nought."""
    terms = Terms(200, 5_000, risk_from=40)

    assert (terms.share(39), terms.share(40)) == (200, 5_000)
    assert terms.on
    assert Terms(0, 1).on
    assert not Terms().on


def test_nobody_who_had_a_part_may_judge() -> None:
    """Under whatever name they act."""
    assert ONE.may_judge({"r-1"})
    assert not ONE.may_judge({"r-1", "owner-1"})


def test_a_sample_waits_for_those_who_have_not_said_anything() -> None:
    """Until it is decided or its time is over, and not where there is nothing to look at."""
    assert ONE.waits_for("r-1", 100)
    assert not ONE.waits_for("r-1", 101)
    assert not replace(ONE, content="none").waits_for("r-1", 1)
    one = replace(ONE, verdicts=(FINE,))
    assert not one.waits_for("r-1", 1)
    assert one.waits_for("r-2", 1)
    two = replace(ONE, verdicts=(FINE, CONCERN))
    assert two.waits_for("r-3", 1)
    assert two.outcome is None
    agreed = replace(ONE, verdicts=(FINE, replace(FINE, by="r-3")))
    assert agreed.outcome == ("fine", "agreement")
    assert not agreed.waits_for("r-2", 1)
