"""What is wrong with the rules, and with the OPA server that answers by them, if there is one."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator, Mapping

from sekisho.adapters.finding import Finding
from sekisho.adapters.opa_choice import EngineMissing, server_engine
from sekisho.adapters.policy_check import check_bundle
from sekisho.config import PolicySettings
from sekisho.errors import PolicyRejected, PolicyUnavailable

SEE = "see docs/howto/opa-server.md"


def rules(policy: PolicySettings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The bundle on disk first: a server cannot be right while that is wrong."""
    bundle = policy.bundle
    if not bundle.is_dir():
        mend = "set [policy] bundle to the directory of your rules"
        yield Finding("policy", ok=False, said=f"{bundle} is not there", mend=mend)
        return
    faults = check_bundle(bundle)
    mend = f"sekisho policy check {shlex.quote(str(bundle))}"
    yield from (Finding("policy", ok=False, said=str(fault), mend=mend) for fault in faults)
    if not faults:
        yield Finding("policy", ok=True, said=str(bundle))
        if policy.engine == "server":
            yield _server(policy, environ)


def _server(policy: PolicySettings, environ: Mapping[str, str]) -> Finding:
    try:
        revision = asyncio.run(_asked(policy, environ))
    except (EngineMissing, PolicyRejected, PolicyUnavailable) as error:
        return Finding("opa server", ok=False, said=error.message, mend=SEE)
    return Finding("opa server", ok=True, said=f"{policy.url} decides by {revision}")


async def _asked(policy: PolicySettings, environ: Mapping[str, str]) -> str:
    """Asks what must be denied, as /readyz does; the revision that answered."""
    engine = server_engine(policy, environ)
    try:
        await engine.start()
        await engine.check()
        return engine.revision
    finally:
        await engine.close()
