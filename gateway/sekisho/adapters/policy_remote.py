"""The desk of policy as workers have it: with what people at a distance need besides.

Bundles that another house signed, as bytes and by the key of the settings alone, and comparisons on
inputs that were disclosed before. What others sent is read, checked and tested in a child of the
worker (policy_trial): a parser or a rule can end, block or fill the process that it runs in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sekisho.adapters.bundle import Bundle
from sekisho.adapters.opa_signed import BundleNotTrusted, Trust, read_trust, verified
from sekisho.adapters.policy_check import TestReport
from sekisho.adapters.policy_desk import Evidence, PolicyDesk
from sekisho.adapters.policy_store import PolicyStore
from sekisho.adapters.policy_trial import Trials
from sekisho.adapters.sql_registry import Registry
from sekisho.config import PolicySettings
from sekisho.errors import PolicyRejected
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

    def _read(self, directory: Path) -> Bundle:
        """Read here only when a child came through it."""
        if faults := self._trials.check(directory):
            raise PolicyRejected(faults)
        return super()._read(directory)

    def _faults(self, place: Path) -> list[str]:
        return self._trials.check(place)

    def _test(self, place: Path) -> TestReport:
        return self._trials.test(place)

    def _trust(self) -> Trust:
        if self._settings.verification_key is None:
            raise BundleNotTrusted(
                "The settings do not say who signs bundles: [policy] verification_key."
            )
        return read_trust(self._settings.verification_key, self._settings.verification_scope)
