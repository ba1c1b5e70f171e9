"""Whoever asks for what is not there is told what is."""

from __future__ import annotations

from typing import Any

from sekisho.app import create_app
from sekisho.telemetry import Metrics
from sekisho.web import sign_in
from sekisho.web.offered import OFFERED, no_such_path


async def _mounted(*_: object) -> None:
    """What stands beside the routes."""


def test_a_refusal_lists_what_there_is_and_repeats_no_long_path() -> None:
    """The path is a stranger's text."""
    error = no_such_path("GET", "/v2/" + "x" * 10_000)
    assert (404, "unknown_path") == (error.status, error.code)
    assert all(offer in error.message for offer in OFFERED)
    assert len(error.message) < 600


def test_everything_listed_is_there() -> None:
    """By the document that describes the routes; pages stand beside it."""
    nothing: Any = None
    app = create_app(nothing, nothing, _mounted, {}, Metrics())
    described = app.openapi()["paths"]
    routes = (*app.routes, *sign_in.router.routes)
    pages = {route.path for route in routes if hasattr(route, "path")}
    for offer in OFFERED:
        method, path = offer.split()
        assert method.lower() in described.get(path, {}) or path in pages
