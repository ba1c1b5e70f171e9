"""An installation with a scripted backend, for faults that leave it usable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from support.installation import Installation
from support.loopback_backend import LoopbackBackend, in_thread
from support.rules import give_modes

RUNAWAY = """\
# METADATA
# title: A rule that never ends
# description: Asks for far more than any deadline allows.
package packs.faults.runaway

deny contains {"code": "never", "msg": "This never ends."} if {
	input.request.model == "runaway"
	count([1 | some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i == -j]) >= 0
}
"""


@dataclass
class Site:
    """What a fault test works with."""

    installation: Installation
    backend: LoopbackBackend
    employee: str
    reviewer: str

    def ask(self, model: str = "ok", text: str = "hi", timeout_s: float = 10) -> httpx.Response:
        """One plain request."""
        return httpx.post(
            f"{self.installation.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {self.employee}"},
            json={"model": model, "messages": [{"role": "user", "content": text}]},
            timeout=timeout_s,
            trust_env=False,
        )


@pytest.fixture(scope="module")
def scripted() -> Iterator[LoopbackBackend]:
    """The scripted backend in a loop of its own."""
    with in_thread() as backend:
        yield backend


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackBackend) -> Iterator[Site]:
    """A running installation; one worker, so that its state is what is tested."""
    installation = Installation(tmp_path_factory.mktemp("f"), {"*": scripted.url})
    installation.write()
    (installation.folder / "policies" / "packs" / "faults").mkdir()
    (installation.folder / "policies" / "packs" / "faults" / "runaway.rego").write_text(RUNAWAY)
    give_modes(installation.folder / "policies")
    installation.start()
    employee = installation.key("staff-7")
    reviewer = installation.key("reviewer-1", roles="employee,reviewer")
    yield Site(installation, scripted, employee, reviewer)
    assert installation.stop() == 0
    verified = installation.verify()
    assert verified.returncode == 0, verified.stdout


@pytest.fixture(autouse=True)
def _ready_and_quiet(site: Site) -> None:
    site.installation.wait_ready()
    site.backend.seen.clear()
