"""`/openapi.json`: every route that is ours, the data path too, with the errors it may answer.

FastAPI knows its routers; the data path speaks ASGI itself and is described here. What clients send
there is OpenAI's to define, so only what we rely on is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

Document = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

_JSON = "application/json"
_REFUSALS = {
    "4XX": "Refused; `error.code` says why.",
    "502": "The backend failed.",
    "503": "A part is down; nothing was let through.",
}
_ERROR = {"$ref": "#/components/schemas/ErrorBody"}
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "A Sekisho key, or a token."},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


class ErrorFields(BaseModel):
    """What went wrong. `code` is stable; docs/reference/errors.md lists all."""

    message: str = Field(description="For the person: what happened, and what to do next.")
    type: str
    param: str | None
    code: str
    approval: dict[str, Any] | None = Field(
        None, description="With 428 and 403: the hold this is about."
    )


class ErrorBody(BaseModel):
    """The shape of every error, as OpenAI has it."""

    error: ErrorFields


def errors() -> Responses:
    """For `include_router(responses=…)`: what any route of `/v1` may answer instead."""
    return {status: {"model": ErrorBody, "description": text} for status, text in _REFUSALS.items()}


def body_of(model: type[BaseModel]) -> Document:
    """For `openapi_extra`: the body of a route that reads it by `bodies.read_model`."""
    schema = {"schema": model.model_json_schema()}
    return {"requestBody": {"required": True, "content": {_JSON: schema}}}


def bytes_of(media_type: str) -> Document:
    """For `openapi_extra`: the body of a route that takes a file as it is."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": {media_type: schema}}}


def described(app: FastAPI) -> Callable[[], Document]:
    """What to put in the place of `app.openapi`."""
    made: list[Document] = []

    def openapi() -> Document:
        if not made:
            made.append(_document(app))
        return made[0]

    return openapi


def _document(app: FastAPI) -> Document:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    schema = ErrorBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs"))
    schemas["ErrorBody"] = schema
    parts["securitySchemes"] = _SECURITY
    document["paths"].update(_DATA_PATH)
    for path, operations in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{name: []} for name in _SECURITY]
    return document


def _json(description: str, schema: Mapping[str, Any]) -> Document:
    return {"description": description, "content": {_JSON: {"schema": dict(schema)}}}


def _refusals() -> Document:
    return {
        **{status: _json(text, _ERROR) for status, text in _REFUSALS.items()},
        "504": _json("The backend did not answer in time.", _ERROR),
    }


def _answers() -> Document:
    """200 as the backend gave it, 303 while people are asked, or an error."""
    return {
        "200": {
            "description": "The backend's answer, whole or as a stream.",
            "content": {_JSON: {"schema": {"type": "object"}}, "text/event-stream": {}},
        },
        "303": {
            "description": "People are asked; ask again at the address in `location`.",
            "content": {_JSON: {"schema": {"type": "object"}}},
        },
        **_refusals(),
    }


def _closed(**members: Document) -> Document:
    """An object with all of these members and no others."""
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def _named(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _asked(name: str, schema: Document) -> Document:
    return {"name": name, "in": "query", "required": False, "schema": schema}


_CHAT_BODY = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "items": {"type": "object"}},
        "stream": {"type": "boolean"},
    },
}
_RESPONSES_BODY = {
    "type": "object",
    "required": ["model", "input"],
    "properties": {
        "model": {"type": "string"},
        "input": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
        "stream": {"type": "boolean"},
        "background": {"type": "boolean"},
    },
}
_MODELS = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"type": "object", "required": ["id"]}},
    },
}
_TEXT: Document = {"type": "string"}
_COUNT: Document = {"type": "integer", "minimum": 0}
_LATELY: Document = {
    "anyOf": [{"type": "null"}, _closed(count=_COUNT, median_s=_COUNT)],
}
_HOLD_TERMS: Document = {
    "asked": {
        "type": "array",
        "items": _closed(
            reviewers=_TEXT,
            approve=_COUNT,
            deny=_COUNT,
            step=_COUNT,
            lately=_LATELY,
            relief={"type": "array", "items": _TEXT},
        ),
    },
    "ttl_s": _COUNT,
    "office_time": {"type": "boolean"},
    "risk": _COUNT,
}
_CHECK = _closed(
    object={"const": "check"},
    exchange=_TEXT,
    sent={"const": False},
    effect={"enum": ["allow", "hold", "deny"]},
    reasons={
        "type": "array",
        "items": _closed(
            code=_TEXT,
            message=_TEXT,
            texts={"type": "object", "additionalProperties": _TEXT},
            rule=_TEXT,
        ),
    },
    backend={"type": ["string", "null"]},
    changed_by={"type": "array", "items": _TEXT},
    masked={"type": "object", "additionalProperties": _COUNT},
    labelled={"type": "boolean"},
    kept=_closed(level=_TEXT, days={"type": ["integer", "null"]}),
    hold={"anyOf": [{"type": "null"}, _closed(**_HOLD_TERMS)]},
    answer=_closed(
        read_whole={"type": "boolean"},
        holds={"type": "array", "items": _closed(stage=_TEXT, **_HOLD_TERMS)},
    ),
    justify={"type": "boolean"},
    answered_by={"enum": ["grant", "break_glass", None]},
    drafts={
        "anyOf": [{"type": "null"}, _closed(max=_COUNT, open=_COUNT, refused={"type": "boolean"})]
    },
)
_DATA_PATH: Document = {
    "/v1/chat/completions": {
        "post": {
            "tags": ["models"],
            "operationId": "ask",
            "summary": "Ask a model, as OpenAI has it.",
            "requestBody": {"required": True, "content": {_JSON: {"schema": _CHAT_BODY}}},
            "responses": _answers(),
        }
    },
    "/v1/chat/completions/{completion_id}": {
        "get": {
            "tags": ["models"],
            "operationId": "retrieve",
            "summary": "The answer of a request that was held.",
            "parameters": [_named("completion_id")],
            "responses": _answers(),
        }
    },
    "/v1/responses": {
        "post": {
            "tags": ["models"],
            "operationId": "respond",
            "summary": "Ask a model by the Responses API, as OpenAI has it.",
            "requestBody": {"required": True, "content": {_JSON: {"schema": _RESPONSES_BODY}}},
            "responses": _answers(),
        }
    },
    "/v1/responses/{response_id}": {
        "get": {
            "tags": ["models"],
            "operationId": "retrieve_response",
            "summary": "A response that was held, or asked for in the background; or its events.",
            "parameters": [
                _named("response_id"),
                _asked("stream", {"type": "boolean"}),
                _asked("starting_after", {"type": "integer", "minimum": 0}),
            ],
            "responses": _answers(),
        }
    },
    "/v1/responses/{response_id}/cancel": {
        "post": {
            "tags": ["models"],
            "operationId": "cancel_response",
            "summary": "Take back what was asked for in the background, while people are asked.",
            "parameters": [_named("response_id")],
            "responses": {
                "200": _json("The response as it stands.", {"type": "object"}),
                **_refusals(),
            },
        }
    },
    "/v1/approvals/{hold_id}/result": {
        "get": {
            "tags": ["approvals"],
            "operationId": "result",
            "summary": "Wait for what people say, then the answer.",
            "parameters": [_named("hold_id")],
            "responses": _answers(),
        }
    },
    "/v1/check": {
        "post": {
            "tags": ["models"],
            "operationId": "check",
            "summary": "What would happen to a request of /v1/chat/completions. Nothing is sent.",
            "requestBody": {"required": True, "content": {_JSON: {"schema": _CHAT_BODY}}},
            "responses": {"200": _json("What would happen.", _CHECK), **_refusals()},
        }
    },
    "/v1/models": {
        "get": {
            "tags": ["models"],
            "operationId": "models",
            "summary": "The models offered here.",
            "responses": {"200": _json("All of them.", _MODELS), **_refusals()},
        }
    },
}
