"""An outsider with the wheel of `sekisho-audit`, a copy of the ledger, and nothing else of ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import httpx
import openai
import pytest

from support.installation import ROOT, Installation

MODEL = "smollm2-135m"


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the auditor's wheel on its base install."""
    folder = tmp_path_factory.mktemp("auditor")
    source = shutil.copytree(ROOT / "audit", folder / "source")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=source)
    wheel = next(folder.glob("sekisho_audit-*.whl"))
    venv.create(folder / "venv")
    python = str(folder / "venv" / "bin" / "python")
    # Our own environment has no pip: the interpreter it was made from has.
    base = str(Path(sys.executable).resolve())
    pip = [base, "-m", "pip", "--disable-pip-version-check", "--python", python]
    into = [*pip, "install", "-q"]
    needed = folder / "requirements.txt"
    needed.write_text(_pinned("cryptography", "cffi", "pycparser"))
    _run(*into, "--require-hashes", "-r", str(needed))
    _run(*into, "--no-deps", str(wheel))
    return Path(python)


def _pinned(*names: str) -> str:
    """These packages out of the constraints, with their hashes."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text())
    return "\n".join(block for block in blocks if block.split("==")[0] in names)


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def copied(gateway: Installation, client: openai.OpenAI, tmp_path: Path) -> Path:
    """A copy of the running installation's ledger, with an exchange that is signed for."""
    client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=4
    )
    events = len(gateway.leaves())
    until = time.monotonic() + 10
    while int((gateway.ledger / "checkpoint").read_text().splitlines()[1]) < events:
        assert time.monotonic() < until, "no checkpoint was written"
        time.sleep(0.1)
    return shutil.copytree(gateway.ledger, tmp_path / "ledger")


def _verify(python: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [str(python), "-I", "-m", "sekisho_audit.cli", "verify", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_wheel_needs_nothing_of_the_gateway(auditor: Path) -> None:
    """The gateway and its libraries are not there, and the verifier works without them."""
    listed = _run(
        str(auditor), "-I", "-c",
        "import importlib.metadata as m; print(*(d.name for d in m.distributions()))",
    )  # fmt: skip

    names = {name.lower() for name in listed.split()}
    assert {"cryptography", "sekisho-audit"} <= names
    assert names <= {"cryptography", "sekisho-audit", "cffi", "pycparser", "typing-extensions"}


def test_a_copy_verifies_against_a_pinned_checkpoint(auditor: Path, copied: Path) -> None:
    """Sound, and consistent with the checkpoint that the auditor kept from before."""
    pinned = copied.parent / "pinned"
    pinned.write_bytes((copied / "checkpoint").read_bytes())

    status, report = _verify(auditor, str(copied), "--pinned", str(pinned))

    assert 0 == status, report


def test_one_changed_byte_is_found(auditor: Path, copied: Path) -> None:
    """Exit status 1, with the file named."""
    segment = next((copied / "events").glob("*.seg"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)

    status, report = _verify(auditor, str(copied))

    assert 1 == status
    assert segment.name in json.dumps(report)


def test_removed_events_are_found(auditor: Path, copied: Path) -> None:
    """An older, rightly signed state does not fit the checkpoint kept elsewhere."""
    pinned = copied.parent / "pinned"
    pinned.write_bytes((copied / "checkpoint").read_bytes())
    segment = next((copied / "events").glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[: segment.stat().st_size // 2])

    status, report = _verify(auditor, str(copied), "--pinned", str(pinned))

    assert 1 == status, report


def test_the_running_log_is_verified_over_http(
    auditor: Path, gateway: Installation, copied: Path, tmp_path: Path
) -> None:
    """With an auditor's key and a checkpoint from before; an employee's key opens nothing."""
    key, secret = str(copied / "vkey"), tmp_path / "secret"
    options = ["--key", key, "--pinned", str(copied / "checkpoint")]
    options += ["--credential-file", str(secret)]
    secret.write_text(gateway.key("auditor-1", roles="auditor"))

    status, report = _verify(auditor, gateway.url, *options)

    assert 0 == status, report
    assert int(str(report["size"])) >= int((copied / "checkpoint").read_text().splitlines()[1])
    secret.write_text(gateway.key("staff-10"))
    status, report = _verify(auditor, gateway.url, *options)
    assert (2, True) == (status, "role auditor" in str(report["doubts"]))


def test_an_employees_receipt_is_checked_by_an_outsider(
    auditor: Path,
    gateway: Installation,
    client: openai.OpenAI,
    keys: dict[str, str],
    tmp_path: Path,
) -> None:
    """What came with a streamed answer, the proofs fetched later, and the key: nothing else."""
    asked = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "hello"}], max_tokens=4, stream=True
    )
    assert list(asked.parse())
    receipt = asked.headers["x-sekisho-receipt"]
    exchange = asked.headers["x-sekisho-exchange"]
    answer = _receipts(gateway, keys["employee"], exchange)
    file = tmp_path / "receipts.json"
    file.write_text(answer.text)
    key = str(shutil.copy(gateway.ledger / "vkey", tmp_path / "vkey"))

    code, report = _verify(auditor, str(file), "--key", key, "--receipt", receipt)
    assert (code, report["types"]) == (
        0,
        {"request.received": 1, "backend.intent": 1, "backend.outcome": 1},
    )
    ledger = shutil.copytree(gateway.ledger, tmp_path / "ledger")
    code, _ = _verify(auditor, str(ledger), "--key", key, "--receipt", receipt)
    assert code == 0
    leaf = re.search("leaf=:([^:]+):", receipt)
    assert leaf is not None
    other = "A" if leaf[1][0] != "A" else "B"
    forged = receipt.replace(f"leaf=:{leaf[1][0]}", f"leaf=:{other}")
    code, report = _verify(auditor, str(ledger), "--key", key, "--receipt", forged)
    assert code == 2
    assert report["faults"] == []
    assert "another event stands" in str(report["doubts"])


def _receipts(gateway: Installation, key: str, exchange: str) -> httpx.Response:
    """As soon as every event of the exchange is under a checkpoint."""
    until = time.monotonic() + 20
    while True:
        answer = httpx.get(
            f"{gateway.url}/v1/audit/receipts/{exchange}",
            headers={"authorization": f"Bearer {key}"},
            trust_env=False,
        )
        if answer.status_code == httpx.codes.OK:
            found = answer.json()
            if found["pending"] == 0 and len(found["proofs"]) == 3:
                return answer
        assert time.monotonic() < until, answer.text
        time.sleep(0.2)
