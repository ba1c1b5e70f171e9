"""Which backend serves which model."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Backend:
    """What the line needs to know of a backend.

    `models` are names or patterns offered to clients; `trust` is external, region or onprem, for
    policy to decide what may go where.
    """

    id: str
    models: tuple[str, ...]
    trust: str

    def offers(self, model: str) -> bool:
        """Whether a name or pattern of this backend matches; case matters."""
        return any(pattern == model or fnmatchcase(model, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All backends, in the order of the configuration: the first that offers a model serves it."""

    backends: tuple[Backend, ...]

    def backend_for(self, model: str) -> Backend | None:
        """The backend that serves `model`, or None if nobody offers it."""
        return next((backend for backend in self.backends if backend.offers(model)), None)
