"""The single file: its own curve and tree beside others', and a run with nothing but Python."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho_audit import tree
from sekisho_audit.exports import standalone
from sekisho_audit.exports.bundle import verifier_source
from support.bundles import exported
from support.ledgers import open_ledger, run_exchange

# RFC 8032, 7.1: public key, message, signature of the first two tests.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
            "f9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
            "f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS, ids=["empty", "one byte"])
def test_the_curve_is_that_of_the_standard(public: str, message: str, signature: str) -> None:
    known = [bytes.fromhex(part) for part in (public, message, signature)]
    assert standalone.signed_by(*known)
    assert not standalone.signed_by(known[0], known[1] + b"x", known[2])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=80), at=st.integers(0, 63)
)
def test_it_agrees_with_another_implementation(seed: bytes, message: bytes, at: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert standalone.signed_by(public, message, signature)
    changed = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
    assert _says(public, message, changed) == _theirs(public, message, changed) is False


def _says(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        return standalone.signed_by(public, message, signature)
    except standalone.Tampered:
        return False


def _theirs(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_a_signature_with_a_larger_scalar_is_none() -> None:
    """The same point a second time: RFC 8032 asks that it be refused."""
    public, message, signature = (bytes.fromhex(part) for part in VECTORS[0])
    scalar = int.from_bytes(signature[32:], "little") + standalone.L
    other = signature[:32] + scalar.to_bytes(32, "little")
    assert not standalone.signed_by(public, message, other)
    assert not standalone.signed_by(public, message, signature[:63])


def test_its_tree_is_the_tree() -> None:
    leaves = [bytes([number]) * 32 for number in range(40)]
    edge: list[tuple[int, bytes]] = []
    for size in range(1, len(leaves) + 1):
        standalone.grown(edge, leaves[size - 1])
        root = tree.root_of(leaves[:size])
        assert standalone.root_of(edge) == root
        for index in range(size):
            path = tree.inclusion_proof(leaves[:size], index)
            assert standalone.leads_to(leaves[index], index, size, path) == root
        for old in range(1, size + 1):
            proof = tree.consistency_proof(leaves[:size], old)
            older = old, tree.root_of(leaves[:old])
            assert standalone.consistent(older, (size, root), proof)
            assert old == size or not standalone.consistent(older, (size, leaves[0]), proof)
            assert not standalone.consistent(older, (size, root), [*proof, root])
    assert standalone.root_of([]) == tree.EMPTY_ROOT


def test_it_imports_nothing_but_python() -> None:
    found = set()
    for node in ast.walk(ast.parse(verifier_source())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    assert found <= set(sys.stdlib_module_names)


def test_it_runs_alone(tmp_path: Path) -> None:
    """Isolated, in an empty folder without anything of ours, on the zip file and on the folder."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    made = exported(ledger, tmp_path, lambda leaf: leaf["exchange"] is not None)
    ledger.close()
    alone = tmp_path / "alone"
    alone.mkdir()
    bundle = made.write(alone / "case.evidence.zip")
    (alone / "verify.py").write_bytes(verifier_source())
    with zipfile.ZipFile(bundle) as held:
        held.extractall(alone / "case")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
        return subprocess.run(
            [python, "-I", "-S", "verify.py", *arguments],
            cwd=alone, env={}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    key = made.export.key.line()
    for what in (bundle.name, "case"):
        done = run(what, "--key", key)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert done.stdout.startswith("SOUND")
    assert run(bundle.name).returncode == 2
    assert run(bundle.name, "--key", "missing").returncode == 2
    (alone / "case" / "report.en.html").write_text("another")
    assert run("case", "--key", key).returncode == 1
    (alone / "case" / "report.en.html").unlink()
    (alone / "case" / "report.en.html").symlink_to("/dev/zero")
    assert run("case", "--key", key).returncode == 1
