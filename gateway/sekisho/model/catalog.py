"""Which backend serves which model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    @property
    def names(self) -> tuple[str, ...]:
        """The models it offers by name."""
        return tuple(model for model in self.models if not _is_pattern(model))

    @property
    def patterns(self) -> tuple[str, ...]:
        """What stands for more names than are written down."""
        return tuple(model for model in self.models if _is_pattern(model))

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

    def listed(self, heard: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Every name that can be listed, with the id of the backend that would serve it.

        `heard` are names that backends list themselves: one counts only if a request for it would
        go to that backend.
        """
        found: dict[str, str] = {}
        for backend in self.backends:
            for model in (*backend.names, *heard.get(backend.id, ())):
                serves = self.backend_for(model)
                if serves is not None and (serves is backend or model in backend.names):
                    found.setdefault(model, serves.id)
        return found


def _is_pattern(model: str) -> bool:
    return "*" in model or "?" in model
