"""The desk of policy as commands use it: store, registry and ledger of one installation."""

from __future__ import annotations

from sekisho.adapters.ledger_desk import evidence
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_store import PolicyStore
from sekisho.adapters.sql_registry import Registry
from sekisho.config import Settings


def desk_of(settings: Settings) -> PolicyDesk:
    """Made anew for each command; nothing is opened before it is used."""
    return PolicyDesk(
        PolicyStore(settings.policies_dir),
        lambda: Registry.open(settings.registry_path),
        lambda: evidence(settings),
        settings.policy.bundle,
    )
