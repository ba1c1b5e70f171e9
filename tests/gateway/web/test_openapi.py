from __future__ import annotations

from typing import Any

import orjson
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from sekisho import errors as tree
from sekisho.web.openapi import ErrorBody, described, errors
from sekisho.web.problems import problem


class Thing(BaseModel):
    id: str


@pytest.fixture
def document() -> dict[str, Any]:
    router = APIRouter(prefix="/v1/things")

    @router.get("/{thing_id}")
    async def show(thing_id: str) -> Thing:
        return Thing(id=thing_id)

    app = FastAPI(title="Gate", version="1")
    app.include_router(router, responses=errors())

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {}

    return described(app)()


def test_each_route_declares_what_it_may_refuse(document: dict[str, Any]) -> None:
    """With our own shape; the framework's 422 is never answered and not promised."""
    responses = document["paths"]["/v1/things/{thing_id}"]["get"]["responses"]
    schema = responses["4XX"]["content"]["application/json"]["schema"]

    assert {"200", "4XX", "502", "503"} == set(responses)
    assert {"$ref": "#/components/schemas/ErrorBody"} == schema


def test_the_data_path_is_described_too(document: dict[str, Any]) -> None:
    """FastAPI does not know it."""
    assert {"post"} == set(document["paths"]["/v1/chat/completions"])
    assert {"get"} == set(document["paths"]["/v1/models"])


def test_everything_under_v1_wants_a_credential(document: dict[str, Any]) -> None:
    """And what operators poll does not."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert path.startswith("/v1/") == bool(operation.get("security")), path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """A document with a hole is of no use to a generator of clients."""
    text = orjson.dumps(document).decode()
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert names <= set(document["components"]["schemas"])


@pytest.mark.parametrize(
    "error",
    [
        tree.BadRequest("Mend it.", param="a"),
        tree.LimitReached("Slowly."),
        tree.NotAuthenticated("Who?"),
        tree.Overloaded("Full."),
        tree.InternalFault(),
    ],
)
def test_every_error_has_the_declared_shape(error: tree.SekishoError) -> None:
    """What the table writes is what the document says."""
    body = ErrorBody.model_validate_json(problem(error)[2], extra="forbid")

    assert error.code == body.error.code


def test_the_document_is_made_once(document: dict[str, Any]) -> None:
    """It never changes while a worker runs."""
    openapi = described(FastAPI(title="Gate", version="1"))

    assert openapi() is openapi()
