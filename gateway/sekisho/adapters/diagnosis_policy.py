"""What is wrong with the rules, and with the OPA server that answers by them, if there is one."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator, Mapping

from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters import registry_policies
from sekisho.adapters.bundle import Bundle
from sekisho.adapters.finding import Finding
from sekisho.adapters.opa_choice import EngineMissing, server_engine
from sekisho.adapters.policy_check import check_bundle
from sekisho.adapters.policy_store import PolicyStore, PolicyStoreUnusable
from sekisho.adapters.sql_registry import Registry
from sekisho.config import PolicySettings, Settings
from sekisho.errors import (
    PolicyRejected,
    PolicyUnavailable,
    SekishoError,
)

SEE = "see docs/howto/opa-server.md"


def in_force(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The revision that two persons put in force, else the directory of the settings."""
    try:
        active = active_bundle(settings)
    except PolicyStoreUnusable as error:
        mend = "restore policies/ of the data directory from a backup, or put the files in again"
        yield Finding("policy", ok=False, said=error.message, mend=mend)
        return
    except (SekishoError, OSError, SQLAlchemyError):
        return  # the finding about the registry says it
    if active is None:
        yield from rules(settings.policy, environ)
        return
    said = f"{active.revision} is in force, as it was put in"
    yield Finding("policy", ok=True, said=said)
    if settings.policy.engine == "server":
        yield _server(settings.policy, environ)


def active_bundle(settings: Settings) -> Bundle | None:
    """What two persons put in force, read as a worker would; None before the first activation.
    Raises PolicyStoreUnusable, RegistryUnusable, OSError.
    """
    if not settings.registry_path.exists():
        return None
    with Registry.look(settings.registry_path).reading() as registry:
        row = registry_policies.in_force(registry).active
    if row is None:
        return None
    return PolicyStore(settings.policies_dir).read(row.revision, row.contents)


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
