"""Evidence bundles: how long one of a thousand events takes to write and to verify.

python tests/bench/bench_export.py [EVENTS]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sekisho_audit.exports.bundle import verifier_source
from sekisho_audit.verify_bundle import verify_bundle
from support.bundles import exported
from support.ledgers import open_ledger, run_exchange


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        ledger = open_ledger(home)
        ledger.open_session("s-1", 1)
        for _ in range(events // 4):
            run_exchange(ledger, "s-1")
        made = exported(ledger, home, lambda leaf: leaf["exchange"] is not None)
        begun = time.perf_counter()
        bundle = made.write(home / "case.evidence.zip")
        print(f"written   {time.perf_counter() - begun:.2f} s  {bundle.stat().st_size:,} bytes")
        begun = time.perf_counter()
        report = verify_bundle(bundle, key=ledger.key)
        print(f"verified  {time.perf_counter() - begun:.2f} s  {report.size:,} events")
        (home / "verify.py").write_bytes(verifier_source())
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-I", home / "verify.py", bundle, "--key", ledger.key.line()],
            check=True,
            capture_output=True,
        )
        print(f"one file  {time.perf_counter() - begun:.2f} s")
        ledger.close()


if __name__ == "__main__":
    main()
