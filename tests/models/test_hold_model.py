"""The states of a hold, checked by spin in every order of steps: `hold.pml`, docs/explain/holds.md.

The model as it is must hold in every world; each planted fault must break the property it is about.
A fault that another guard would make harmless is planted where that guard is away (`LAX`: auditd
checks nothing), so that store and ledger are each seen to hold by themselves.

`SEKISHO_MODEL_WORLDS=all` checks the large worlds as well; they take minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

MODEL = Path(__file__).with_name("hold.pml")
SAFE, LIVE = "all_of_these", "no_hold_is_lost"
RUN_S = 3600 if os.environ.get("SEKISHO_MODEL_WORLDS") == "all" else 55
SMALL = {"NEED": 1, "DENY": 1, "TRIES": 2}

World = dict[str, int]

TROUBLE: World = {"CRASHES": 1, "FAILS": 1, "LATE_LEASES": 1}
EDITED: World = {"ANSWER": 1, "EDITS": 1, "NEED": 2}
IN_ORDER: World = {"STEPS": 1, "NEED": 2, "TRIES": 3}
WORLDS: list[tuple[str, World]] = [
    (SAFE, TROUBLE | {"REFUSALS": 1, "WITHDRAWALS": 1}),
    (SAFE, {"RESTARTS": 1, "FAILS": 1, "LATE_LEASES": 1}),
    (SAFE, {"RESTARTS": 1, "CRASHES": 1}),
    (SAFE, {"RESTARTS": 1, "OLDER": 1}),
    (SAFE, {"RESTARTS": 1, "FAILS": 1, "NEED": 2, "DENY": 2}),
    (SAFE, EDITED | TROUBLE),
    (SAFE, EDITED | {"RESTARTS": 1}),
    (SAFE, TROUBLE | {"LAX": 1, "REFUSALS": 1, "WITHDRAWALS": 1}),
    (SAFE, EDITED | {"LAX": 1, "CRASHES": 1, "LATE_LEASES": 1}),
    (SAFE, TROUBLE | {"MORES": 1}),
    (SAFE, {"MORES": 1, "RESTARTS": 1, "FAILS": 1}),
    (SAFE, {"MORES": 1, "RESTARTS": 1, "OLDER": 1}),
    (SAFE, {"MORES": 1, "ANSWER": 1, "CRASHES": 1, "FAILS": 1, "LATE_LEASES": 1}),
    (SAFE, IN_ORDER | TROUBLE),
    (SAFE, IN_ORDER | {"RESTARTS": 1, "OLDER": 1}),
    (SAFE, IN_ORDER | EDITED | {"CRASHES": 1, "FAILS": 1}),
    (SAFE, IN_ORDER | EDITED | {"LAX": 1, "CRASHES": 1, "LATE_LEASES": 1}),
    (LIVE, IN_ORDER | EDITED | {"CRASHES": 1}),
    (LIVE, TROUBLE),
    (LIVE, {"MORES": 1, "CRASHES": 1, "FAILS": 1}),
    (LIVE, {"RESTARTS": 1}),
    (LIVE, EDITED | {"CRASHES": 1}),
]
LARGE: list[tuple[str, World]] = [
    (wanted, world | more)
    for wanted in (SAFE, LIVE)
    for world in (
        {"CRASHES": 1, "FAILS": 1, "RESTARTS": 1, "LATE_LEASES": 1},
        {"CRASHES": 2, "FAILS": 2, "LATE_LEASES": 1, "TRIES": 3, "REFUSALS": 1},
        {"RESTARTS": 1, "CRASHES": 1, "OLDER": 1},
        {"RESTARTS": 2},
    )
    for more in ({}, {"ANSWER": 1, "EDITS": 1}, {"NEED": 2, "DENY": 2})
]
if os.environ.get("SEKISHO_MODEL_WORLDS") == "all":
    WORLDS += LARGE

FAULTS: list[tuple[str, World, str]] = [
    ("NO_COMPARE_AND_SET", {"LAX": 1}, "exactly_one_decision"),
    ("NO_CLAIM", {"LAX": 1}, "at_most_one_dispatch"),
    ("NO_CLAIM", {"ANSWER": 1}, "given_out_once"),
    ("FAIL_OPEN", {"FAILS": 1}, "nothing_without_its_reviews"),
    ("FAIL_OPEN", {"FAILS": 1, "ANSWER": 1}, "nothing_without_its_reviews"),
    ("RELEASED_BEFORE_RECORDED", {"LAX": 1}, "nothing_without_its_reviews"),
    ("SECOND_INTENT", {"RESTARTS": 1}, "at_most_one_dispatch"),
    ("NO_LEASE", {"CRASHES": 1}, LIVE),
    ("STALE_REVIEW_COUNTS", EDITED | {"LAX": 1, "NEED": 1}, "nothing_without_its_reviews"),
    ("OLD_REVIEWS_COUNT", EDITED | {"LAX": 1}, "nothing_without_its_reviews"),
    ("RESTORED_FORGETS", {"RESTARTS": 1}, "terminal_states_stay"),
    ("BELIEVED_AT_ONCE", {"RESTARTS": 1}, LIVE),
    ("LOST_CLAIM_SENT_AGAIN", {"LAX": 1, "LATE_LEASES": 1}, "at_most_one_dispatch"),
    ("ANYBODY_FINISHES", {"LATE_LEASES": 1}, "terminal_states_stay"),
    ("ANYBODY_FINISHES", {"LATE_LEASES": 1, "ANSWER": 1}, "given_out_once"),
    ("SILENCE_APPROVES", {"LAX": 1}, "nothing_without_its_reviews"),
    ("NOBODY_FINISHES", {"CRASHES": 1}, LIVE),
    ("NEVER_GIVEN_UP", {"RESTARTS": 1, "FAILS": 1, "NEED": 2, "DENY": 2}, LIVE),
    ("SENT_ALL_THE_SAME", {"LAX": 1, "MORES": 1}, "at_most_one_dispatch"),
    ("CLAIMED_UNREAD", {"LAX": 1, "MORES": 1}, "nothing_without_its_reviews"),
    ("LEFT_BEHIND", {"MORES": 1, "RESTARTS": 1, "OLDER": 1}, SAFE),
    ("SECOND_OUTCOME", {"RESTARTS": 1}, "exactly_one_decision"),
    ("OUT_OF_TURN", IN_ORDER | {"LAX": 1}, "in_order"),
    ("EDITED_UNREAD", IN_ORDER | EDITED | {"LAX": 1}, "in_order"),
]


def numbers() -> dict[str, str]:
    """Each planted fault with its number, as the model names them."""
    return dict(re.findall(r"^#define (\w+) \(fault == (\d+)\)", MODEL.read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier that spin makes of the model."""
    folder = tmp_path_factory.mktemp("spin")
    shutil.copy(MODEL, folder)
    for command in (
        ["spin", "-a", MODEL.name],
        ["gcc", "-O1", "-w", "-DMEMLIM=6000", "-o", "pan", "pan.c"],
    ):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "pan"


def holds(checker: Path, wanted: str, world: World, fault: str = "0") -> bool:
    """Whether `wanted` is true in this world, of every order of steps."""
    told = {name: str(value) for name, value in (SMALL | world).items()}
    done = subprocess.run(
        [str(checker), "-a", "-m1000000", "-N", wanted],
        cwd=checker.parent,
        env={**told, "FAULT": fault},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    said = done.stdout
    found = re.search(r"^State-vector .* errors: (\d+)$", said, re.MULTILINE)
    assert found, said + done.stderr
    incomplete = "max search depth too small" in said or "Search not completed" in said
    assert found[1] != "0" or not incomplete, said
    return found[1] == "0"


def named(case: tuple[str, World] | tuple[str, World, str]) -> str:
    """What pytest calls it."""
    words = [f"{name}={value}" for name, value in case[1].items()]
    return ",".join([case[0], *words, *case[2:]])


@pytest.mark.parametrize(("wanted", "world"), WORLDS, ids=map(named, WORLDS))
def test_the_model_holds(checker: Path, wanted: str, world: World) -> None:
    """Whatever dies, restarts, fails or is late, in whatever order."""
    assert holds(checker, wanted, world)


@pytest.mark.parametrize(("fault", "world", "breaks"), FAULTS, ids=map(named, FAULTS))
def test_a_planted_fault_is_caught(checker: Path, fault: str, world: World, breaks: str) -> None:
    """By the property that it is about, which is true in the same world without it."""
    assert holds(checker, breaks, world)
    assert not holds(checker, breaks, world, numbers()[fault])


@pytest.mark.parametrize("fault", ["OUT_OF_TURN", "EDITED_UNREAD"])
def test_auditd_makes_up_for_a_store_that_takes_it_out_of_turn(checker: Path, fault: str) -> None:
    """Whatever the store lets through, the ledger has answers and edits in their order."""
    assert holds(checker, "in_order", IN_ORDER | EDITED, numbers()[fault])


def test_every_fault_of_the_model_is_planted_somewhere() -> None:
    """One that is never tried proves nothing."""
    assert set(numbers()) == {fault for fault, _, _ in FAULTS}


@pytest.mark.parametrize("more", [{}, IN_ORDER], ids=["one step", "in order"])
@pytest.mark.parametrize(("never", "answer"), [("nothing_is_sent", 0), ("nothing_is_given", 1)])
def test_the_model_does_something(checker: Path, never: str, answer: int, more: World) -> None:
    """What never happens in it would be safe, and say nothing."""
    assert not holds(checker, never, {"ANSWER": answer} | more)
