"""Our own OpenAPI document is true: no route breaks it, whoever asks and whatever is sent.

schemathesis makes requests from the document, good ones and bad ones, against a whole running
installation. Nothing may be answered with a fault of ours, with a status or type that is not
declared, or with a body that does not fit.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .conftest import Site

pytestmark = pytest.mark.long

EXAMPLES_MAX = 15  # of each kind for each route and role: the whole stays within two minutes
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROLES = {
    "employee": "employee",
    "reviewer": "employee,reviewer",
    "auditor": "auditor",
    "operator": "operator",
}
# Whoever is let in is told of changes for minutes; tests/gateway/web/test_desk.py listens to it.
ENDLESS = frozenset({"/v1/approvals/events"})
HELD = "please summarise the customer list"


def raw(value: Any) -> bytes:
    """What was made up for a body that is no JSON."""
    made = getattr(value, "data", value)
    return made if isinstance(made, bytes) else str(made).encode()


@schemathesis.serializer("application/gzip")
def packed(_about: Any, value: Any) -> bytes:
    """A signed bundle comes packed; half of what is tried is, so that it is looked into."""
    said = raw(value)
    return gzip.compress(said) if len(said) % 2 else said


@schemathesis.serializer("application/x-ndjson")
def lines(_about: Any, value: Any) -> bytes:
    """Disclosed inputs come as lines; none that is made up is one, and each has to be refused."""
    return raw(value)


@dataclass
class Document:
    """The document, keys by role, and a hold that is waiting."""

    url: str
    schema: Any
    keys: dict[str, str]
    hold: str

    def operations(self) -> Iterator[Any]:
        for found in self.schema.get_all_operations():
            yield found.ok()


@pytest.fixture(scope="module")
def document(site: Site) -> Document:
    """Read once; the hold makes routes with an id answer more than 404."""
    installation = site.installation
    keys = {role: installation.key(f"{role}-1", roles=roles) for role, roles in ROLES.items()}
    told = httpx.get(f"{installation.url}/openapi.json", timeout=5, trust_env=False).json()
    schema = schemathesis.openapi.from_dict(told)
    headers = {"authorization": f"Bearer {keys['employee']}"}
    message = {"role": "user", "content": HELD}
    answer = httpx.post(
        f"{installation.url}/v1/chat/completions",
        headers=headers,
        json={"model": "ok", "messages": [message]},
        timeout=10,
        trust_env=False,
    )
    assert answer.status_code == httpx.codes.SEE_OTHER
    hold = answer.headers["location"].split("approvals/")[1].split("/")[0]
    return Document(installation.url, schema, keys, hold)


def _tried(
    operation: Any, mode: GenerationMode, document: Document, role: str
) -> set[tuple[str, int]]:
    """Send what is made for one operation, judge each answer; the paths with their statuses."""
    seen: set[tuple[str, int]] = set()
    key = document.keys.get(role)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if role == "stranger":
        headers = {"authorization": "Bearer sk-sekisho-abcdefgh-" + "x" * 43}

    @settings(
        max_examples=EXAMPLES_MAX,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        _aimed(case, document, keyed=bool(headers))
        response = case.call(
            base_url=document.url,
            headers=headers,
            timeout=15,
            allow_redirects=False,
        )
        case.validate_response(response, checks=CHECKS)
        if response.status_code == httpx.codes.NOT_FOUND and "unknown_path" in response.text:
            return  # a tile's path with `..` or a line break in it is none of our routes
        seen.add((operation.path, response.status_code))

    try:
        send()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, operation.path
        # Whatever is sent there fits: a route without a body or with any text for an id.
    return seen


def _aimed(case: Case, document: Document, *, keyed: bool) -> None:
    """Every other request hits something that is there, with one credential instead of two; no
    switch stops what the others ask for.
    """
    if keyed:
        case.headers.pop("x-api-key", None)
    if case.path == "/v1/admin/halt" and isinstance(case.body, dict) and "scope" in case.body:
        case.body = {**case.body, "scope": "team", "name": "nobody's"}
    if len(case.as_curl_command()) % 2:
        if "hold_id" in case.path_parameters:
            case.path_parameters["hold_id"] = document.hold
        if case.path == "/v1/chat/completions" and isinstance(case.body, dict):
            message = {"role": "user", "content": "hi"}
            case.body = {**case.body, "model": "ok", "messages": [message]}


@pytest.mark.parametrize("role", [*ROLES, "stranger", "nobody"])
def test_every_answer_is_as_the_document_says(
    document: Document, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every route, with requests that fit it and requests that do not."""
    monkeypatch.setenv("NO_PROXY", "*")
    seen: set[tuple[str, int]] = set()
    for operation in document.operations():
        if operation.path in ENDLESS and role in ROLES:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            seen |= _tried(operation, mode, document, role)
    statuses = {status for path, status in seen if path.startswith("/v1/")}
    if role in {"stranger", "nobody"}:
        assert statuses <= {401, 429}
        return
    assert {200, 400, 404} <= statuses
    assert not statuses & {401, 429}
    assert ("/v1/chat/completions", 200 if "employee" in ROLES[role] else 403) in seen
    assert {path for path, _ in seen} >= {"/v1/chat/completions", "/readyz", "/metrics"}


def test_every_route_that_needs_somebody_says_so(document: Document) -> None:
    """Under /v1 nothing is served without a credential, and the document tells which."""
    open_ = [
        f"{operation.method} {operation.path}"
        for operation in document.operations()
        if operation.path.startswith("/v1/") and not operation.definition.raw.get("security")
    ]
    assert open_ == []


def test_a_hold_outlives_all_of_it(document: Document, site: Site) -> None:
    """Nothing that was sent has decided it, and the installation still works."""
    headers = {"authorization": f"Bearer {document.keys['employee']}"}
    url = f"{document.url}/v1/approvals/{document.hold}"
    state = httpx.get(url, headers=headers, timeout=5, trust_env=False).json()["status"]

    assert state in {"pending", "denied", "withdrawn", "expired"}
    assert site.ask().status_code == httpx.codes.OK
