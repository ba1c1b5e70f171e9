"""What is told of a verification, to people and to machines."""

from __future__ import annotations

import json

import pytest

from sekisho_audit.report import Fault, Report, Verdict


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("it is gone"), "it is gone"),
        (Fault("it is gone", file="vkey"), "vkey: it is gone"),
        (Fault("it is gone", "a.seg", 7, 3), "a.seg, byte 7, event 3: it is gone"),
        (Fault("it is gone", index=0), "event 0: it is gone"),
        (Fault("it is gone", "a.seg", offset=0), "a.seg, byte 0: it is gone"),
    ],
)
def test_places_come_first(fault: Fault, said: str) -> None:
    assert str(fault) == said


def test_for_machines_it_is_plain_json() -> None:
    report = Report(Verdict.TAMPERED, origin="x", faults=[Fault("gone", index=4)])
    told = json.loads(json.dumps(report.as_dict()))
    assert (told["verdict"], told["says"], told["faults"][0]["index"]) == (1, "tampered", 4)
