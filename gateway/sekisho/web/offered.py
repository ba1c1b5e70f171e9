"""What this gateway offers, for whoever asked for something else."""

from __future__ import annotations

from sekisho.errors import NotFound

PATH_CHARS_MAX = 128  # of a path that is repeated to whoever asked for it

OFFERED = (
    "POST /v1/chat/completions",
    "POST /v1/responses",
    "POST /v1/check",
    "GET /v1/models",
    "GET /v1/exchanges",
    "GET /v1/approvals",
    "GET /v1/audit/log/checkpoint",
    "GET /v1/me",
    "GET /login",
    "GET /openapi.json",
)
"""Where each thing begins; what lies below is in the last of them."""


def no_such_path(method: str, path: str) -> NotFound:
    """The refusal of a path or method that is not ours."""
    message = (
        f"{method} {path[:PATH_CHARS_MAX]} is not offered by this gateway; nothing was sent on. "
        f"It offers {', '.join(OFFERED[:-1])}; {OFFERED[-1]} has all paths and what they take."
    )
    return NotFound(message, code="unknown_path")
