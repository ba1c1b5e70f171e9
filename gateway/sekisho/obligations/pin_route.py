"""pin_route: the request may go only to one backend, or only to backends that are trusted enough.

A route is the id of a backend, or `trust:region` or `trust:onprem`: at least so close to home.
"""

from __future__ import annotations

from sekisho.errors import DeniedByPolicy
from sekisho.model.catalog import Catalog

TRUST = "trust:"
LEVELS = ("external", "region", "onprem")


def is_route(route: str) -> bool:
    """Whether this can be a route: any word for a backend, but only the levels there are."""
    return not route.startswith(TRUST) or route.removeprefix(TRUST) in LEVELS


def apply(route: str, model: str, backend: str, catalog: Catalog) -> str:
    """The id of the backend that `model` may be sent to: `backend`, where it would go by itself,
    if the route lets it, else the first that does.

    Raises DeniedByPolicy (`no_route`) if none of those offers the model.
    """
    known = [
        one for one in catalog.backends if one.offers(model) and _fits(route, one.id, one.trust)
    ]
    if any(one.id == backend for one in known):
        return backend
    if known:
        return known[0].id
    message = (
        f"The rules let this request go {_said(route)} only, and no such backend offers the model "
        f"{model[:64]!r}. Choose another model, or ask an operator which ones there are."
    )
    raise DeniedByPolicy(message, code="no_route")


def _fits(route: str, backend: str, trust: str) -> bool:
    if route.startswith(TRUST):
        return LEVELS.index(trust) >= LEVELS.index(route.removeprefix(TRUST))
    return backend == route


def _said(route: str) -> str:
    levels = {"onprem": "to our own premises", "region": "to our region or our own premises"}
    if route.startswith(TRUST):
        return levels.get(route.removeprefix(TRUST), "to any backend")
    return f"to the backend {route[:64]!r}"
