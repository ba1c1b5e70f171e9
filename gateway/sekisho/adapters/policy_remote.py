"""The desk of policy as workers have it: with what people at a distance need besides.

Bundles that another house signed, as bytes and by the key of the settings alone, and comparisons on
inputs that were disclosed before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sekisho.adapters.opa_signed import BundleNotTrusted, Trust, read_trust, verified
from sekisho.adapters.policy_desk import Evidence, PolicyDesk
from sekisho.adapters.policy_store import PolicyStore
from sekisho.adapters.policy_trial import Trials
from sekisho.adapters.sql_registry import Registry
from sekisho.config import PolicySettings
from sekisho.model.principal import Principal
from sekisho.model.revisions import Revision, may_draft, may_look


class RemotePolicyDesk(PolicyDesk):
    """As the `PolicyDesk`, for callers who have no files here."""

    def __init__(
        self,
        store: PolicyStore,
        registry: Callable[[], Registry],
        evidence: Evidence,
        settings: PolicySettings,
        trials: Trials | None = None,
    ) -> None:
        super().__init__(store, registry, evidence, settings.bundle)
        self._settings = settings
        self._trials = trials or Trials()

    def draft_signed(self, author: Principal, packed: bytes, source: str) -> Revision:
        """Put a signed bundle file in. Raises BundleNotTrusted, PolicyRejected."""
        may_draft(author)
        return self.draft_files(author, verified(packed, self._trust()), source)

    def compared(
        self, who: Principal, named: str, base: str | None, lines: bytes
    ) -> dict[str, Any]:
        """What disclosed inputs would be by a revision and by `base`, or by what is in force.

        Goes on no record: whoever activates needs the ledger's own decisions.
        """
        may_look(who)
        return self._trials.compare(self.place_of(base), self.place_of(named), lines)

    def _trust(self) -> Trust:
        if self._settings.verification_key is None:
            raise BundleNotTrusted(
                "The settings do not say who signs bundles: [policy] verification_key."
            )
        return read_trust(self._settings.verification_key, self._settings.verification_scope)
