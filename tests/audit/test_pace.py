"""How much a round takes: enough that the disk is waited for seldom, and no more."""

from __future__ import annotations

from sekisho_audit.pace import Pace


def test_a_slow_disk_makes_larger_rounds() -> None:
    """A round takes what takes half as long again to build as the disk took."""
    pace = Pace()
    assert pace.events == 64
    pace.learn(100, took_s=0.014, disk_s=0.010)
    assert pace.events == 375
    pace.learn(375, took_s=0.016, disk_s=0.004)
    assert pace.events == 188


def test_a_quick_disk_makes_rounds_of_some_size() -> None:
    """Each round costs something beside the disk, so it takes some events if they wait."""
    pace = Pace()
    pace.learn(100, took_s=0.005, disk_s=0.00001)
    assert pace.events == 64


def test_a_round_of_nothing_teaches_nothing() -> None:
    """No events, or a clock that saw nothing pass, are no measure."""
    pace = Pace()
    pace.learn(0, took_s=1.0, disk_s=0.5)
    pace.learn(10, took_s=0.5, disk_s=0.5)
    assert pace.events == 64


def test_a_small_rest_goes_along() -> None:
    """A quarter of a round more is no reason to wait for the disk once more."""
    pace = Pace()
    assert pace.takes_all(80)
    assert not pace.takes_all(81)
