"""Everything of a worker that is not the data path, as one FastAPI application.

It stands behind `web/data_path.py`, which hands over what is not `/v1` traffic of clients. Errors
have the same shape on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from sekisho import __version__
from sekisho.config.faults import in_words
from sekisho.errors import BadRequest, InternalFault, SekishoError
from sekisho.telemetry import Metrics
from sekisho.web import (
    acceptance,
    appeals,
    approvals,
    audit,
    break_glass,
    break_glass_pages,
    desk,
    draft_pages,
    exchanges,
    figure_pages,
    figures,
    grants,
    halts,
    health,
    home,
    pages,
    policies,
    sample_pages,
    samples,
    search,
    seeds,
    static_files,
)
from sekisho.web import sign_in as sign_in_routes
from sekisho.web.answering import ASGIApp
from sekisho.web.health import Check
from sekisho.web.offered import no_such_path
from sekisho.web.openapi import described, errors
from sekisho.web.problems import problem
from sekisho.web.scim import PREFIX as SCIM_PREFIX
from sekisho.web.services import Services
from sekisho.web.sign_in import SignIn

FAULTS_TOLD_MAX = 8
_FORMS = {
    ("query", "after"): "must be what the page before said in `after`, digits as in after=4711",
}
_CONTROL = (
    desk.router,  # before the holds: `events` and `bulk` are no ids
    figures.router,  # likewise
    seeds.router,
    approvals.router,
    exchanges.router,
    acceptance.router,
    audit.router,
    appeals.router,
    search.router,
    policies.router,
    halts.router,
    grants.router,
    samples.router,
    break_glass.router,
    sign_in_routes.me_router,
)
_PAGES = (
    figure_pages.router,
    pages.router,
    sample_pages.router,
    break_glass_pages.router,
    draft_pages.router,
    home.router,
    sign_in_routes.router,
)
_log = structlog.get_logger("sekisho.app")


def create_app(
    services: Services,
    sign_in: SignIn,
    scim: ASGIApp,
    checks: Mapping[str, Check],
    metrics: Metrics,
) -> FastAPI:
    """Build the application; `checks` are what /readyz asks, by part."""
    app = FastAPI(
        title="Sekisho",
        version=__version__,
        description="A governed gateway between staff and any LLM backend.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # its Location would repeat the Host header of a stranger
    )
    app.state.services = services
    app.state.checks = checks
    app.state.metrics = metrics
    app.state.sign_in = sign_in
    for router in _CONTROL:
        app.include_router(router, responses=errors())
    for router in (health.router, static_files.router, *_PAGES):
        app.include_router(router)
    app.mount(SCIM_PREFIX, scim)
    app.openapi = described(app)  # type: ignore[method-assign]
    app.add_exception_handler(SekishoError, _known)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)
    return app


def _said(error: SekishoError) -> Response:
    status, headers, body = problem(error, exchange=error.exchange)
    text = {name.decode(): value.decode() for name, value in headers}
    return Response(body, status_code=status, headers=text)


async def _known(_: Request, error: Exception) -> Response:
    return _said(error if isinstance(error, SekishoError) else InternalFault())


async def _malformed(_: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    where = "; ".join(
        f"{detail['loc'][-1]} {_FORMS.get(tuple(detail['loc'])) or in_words(detail)}"
        for detail in details[:FAULTS_TOLD_MAX]
    )
    return _said(BadRequest(f"This request does not fit: {where}."))


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status in (404, 405):
        return _said(no_such_path(request.method, request.url.path))
    return _said(InternalFault())


async def _unknown(request: Request, error: Exception) -> Response:
    _log.error("unexpected fault", path=request.url.path, error=type(error).__name__)
    return _said(InternalFault())
