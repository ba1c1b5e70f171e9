"""Ledgers as earlier releases wrote them: still sound, still the same, still to be written on.

CONTRIBUTING.md says how one is added at a release. None is ever changed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.cosignature import WitnessKey
from sekisho_audit.keyring import SYSTEM, Keyring, load_secrets
from sekisho_audit.ledger import Ledger
from sekisho_audit.proof import Proof
from sekisho_audit.prove import prove
from sekisho_audit.published import Published
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Report, Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, Family, Frame, frames, segments
from sekisho_audit.seal import commitment, unseal
from sekisho_audit.verify import verify
from sekisho_audit.verify_anchors import Anchors
from sekisho_audit.verify_bundle import verify_bundle
from sekisho_audit.verify_proof import verify_file
from support.ledgers import run_exchange, run_held_exchange

HERE = Path(__file__).resolve().parent / "ledgers"
# Size and root, as the release wrote them.
GOLDEN = {
    "v1": (52, "ce3d5d4b3ded6457dd04b2013c7e0bd4f45d254611bf75ffcda3d423ad12fd08"),
    "v1-officers": (69, "552b3176654cfd99cae8d8ed013fa49a48515620bd737c8aec94bf24fd4eb9e7"),
}
ORIGIN = "ledger.example/golden"
ERASED = "somebody-who-left@ledger.example"


@pytest.fixture(params=GOLDEN)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, with the modes that the writer asks for and a repository does not keep."""
    copy = tmp_path / "golden"
    shutil.copytree(HERE / request.param, copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


@pytest.fixture
def key(home: Path) -> VerifierKey:
    return VerifierKey.parse((home / "data" / "ledger" / "vkey").read_text().strip())


def stored(home: Path, family: Family = EVENTS) -> list[Frame]:
    ledger = home / "data" / "ledger"
    return [item for part in segments(ledger, family) for item in frames(part, family)]


def judged(home: Path, key: VerifierKey) -> Report:
    """The verdict with all that an auditor may have kept."""
    receipt = Receipt.parse((home / "receipt").read_text())
    pinned = [path.read_bytes() for path in sorted(home.glob("pinned*"))]
    witnesses = [WitnessKey.parse(path.read_text().strip()) for path in home.glob("witness.vkey")]
    anchors = Anchors(witnesses=witnesses)
    return verify(home / "data", key=key, pinned=pinned, receipt=receipt, anchors=anchors)


def test_there_is_a_constant_for_each_and_a_ledger_for_each_constant() -> None:
    assert {path.name for path in HERE.iterdir() if path.is_dir()} - {"__pycache__"} == set(GOLDEN)


def test_it_is_sound_and_the_one_that_was_written(
    home: Path, key: VerifierKey, request: pytest.FixtureRequest
) -> None:
    """Sound for today's verifier, with nothing left open; size and root as written here."""
    report = judged(home, key)
    assert (report.verdict, report.faults, report.notes) == (Verdict.SOUND, [], [])
    name = request.node.callspec.params["home"]
    assert (report.size, report.root) == GOLDEN[name]
    assert report.signed_size == report.size == sum(report.types.values())
    assert len(report.types) >= 30
    assert len(list((home / "data" / "ledger" / "payloads").iterdir())) > 1


def test_a_changed_byte_is_still_found(home: Path, key: VerifierKey) -> None:
    """The verdict above is worth something: one bit in the middle of each file."""
    for path in (home / "data" / "ledger").rglob("*"):
        if path.is_file() and path.stat().st_size:
            raw = path.read_bytes()
            middle = len(raw) // 2
            path.write_bytes(raw[:middle] + bytes([raw[middle] ^ 4]) + raw[middle + 1 :])
            assert judged(home, key).verdict is Verdict.TAMPERED, path.name
            path.write_bytes(raw)


def test_what_was_given_out_still_holds(home: Path, key: VerifierKey) -> None:
    """Each proof and each answer with proofs, with the receipt it belongs to."""
    files = sorted((home / "proofs").iterdir())
    assert len(files) > 3
    for file in files:
        report = verify_file(file, key=key)
        assert (report.verdict, report.faults) == (Verdict.SOUND, []), file.name
    receipt = Receipt.parse((home / "receipt").read_text())
    answer = home / "proofs" / "answer.json"
    assert verify_file(answer, key=key, receipt=receipt).verdict is Verdict.SOUND


def test_keys_anchors_and_bundles_of_then_hold(home: Path, key: VerifierKey) -> None:
    """The first key leads to the last, evidence of others counts, a bundle proves what it did."""
    first = home / "first.vkey"
    if not first.exists():  # a ledger from before there were any
        assert judged(home, key).keys == []
        return
    old = VerifierKey.parse(first.read_text().strip())
    assert old != key
    report = judged(home, old)
    assert (report.verdict, report.faults, report.notes) == (Verdict.SOUND, [], [])
    assert (len(report.keys), len(report.anchors)) == (1, 1)
    for one in (old, key):
        bundle = verify_bundle(home / "case.evidence.zip", key=one)
        assert (bundle.verdict, bundle.faults, bundle.doubts) == (Verdict.SOUND, [], [])
    for path in (home / "data" / "anchors").rglob("*.note"):
        raw = path.read_bytes()
        path.write_bytes(raw[:40] + bytes([raw[40] ^ 1]) + raw[41:])
        assert judged(home, old).verdict is not Verdict.SOUND
        path.write_bytes(raw)


def test_proofs_made_today_are_the_ones_made_then(home: Path) -> None:
    made = {
        f"{p.index:012d}.tlog-proof": p for p in prove(home / "data" / "ledger", lambda _: True)
    }
    for file in sorted((home / "proofs").glob("*.tlog-proof")):
        assert made[file.name].text() == file.read_text()


def test_todays_writer_goes_on_with_it(home: Path, key: VerifierKey) -> None:
    """It opens, appends and stops; the old checkpoint, receipt and proofs are good for the longer
    ledger, and old events can be proved anew.
    """
    old = [frame.body for frame in stored(home)]
    ledger = Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN)
    ledger.open_session("s-new", 9)
    run_exchange(ledger, "s-new")
    run_held_exchange(ledger, "s-new")
    ledger.close()
    report = judged(home, key)
    assert (report.verdict, report.faults) == (Verdict.SOUND, [])
    assert report.size > len(old) + 10
    assert [frame.body for frame in stored(home)][: len(old)] == old
    for file in (home / "proofs").iterdir():
        assert verify_file(file, key=key).verdict is Verdict.SOUND
    anew = list(prove(home / "data" / "ledger", lambda leaf: leaf["n"] < len(old)))
    assert [proof.leaf for proof in anew] == old
    assert {proof.check(key).size for proof in anew} == {report.signed_size}


def test_a_writer_knows_again_what_was_written_then(home: Path) -> None:
    """An append that is sent again after years is answered with its old place."""
    ledger = Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN)
    first = decode(stored(home)[0].body)
    assert ledger._state.recent.find(first["id"]) == 0
    assert ledger.sessions == frozenset()
    ledger.close()


def test_it_can_be_published(home: Path, key: VerifierKey, tmp_path: Path) -> None:
    """Tiles are built from it, and its events proved under its own checkpoint."""
    ledger = Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN)
    log = Published(tmp_path / "tiles", ledger.directory, lambda: ledger.signed)
    while log.follow():
        pass
    receipt = Receipt.parse((home / "receipt").read_text())
    proof = log.proof(receipt.index)
    assert Proof.parse(proof.text()).check(key).size == ledger.size
    log.close()
    ledger.close()


def test_content_opens_with_the_keys_and_that_of_the_erased_does_not(home: Path) -> None:
    """Each stored payload is read and fits its commitment, except those whose keys are gone."""
    secrets = load_secrets(home / "keys", create_missing=False)
    keyring = Keyring(home / "keys" / "principals.keys", secrets.kek)
    bodies = {frame.digest.hex(): frame.body for frame in stored(home, PAYLOADS)}
    opened, gone = 0, 0
    for leaf in (json.loads(frame.body) for frame in stored(home)):
        for entry in leaf["pl"]:
            if "ct" not in entry:
                continue
            pseudonym, _, month = entry["kref"].partition("/")
            owner = SYSTEM if pseudonym == SYSTEM else keyring.principal_of(pseudonym)
            secret = keyring.key_of(owner or "", month)
            if secret is None:
                gone += 1
                continue
            plain = unseal(secret, leaf["id"], entry["name"], bodies[entry["ct"]])
            scope = leaf["exchange"] or leaf["id"]
            assert commitment(secret, scope).digest(plain).hex() == entry["commit"]
            assert len(plain) == entry["len"]
            opened += 1
    keyring.close()
    assert keyring.known(ERASED) is None
    assert opened > 15
    assert gone > 0
