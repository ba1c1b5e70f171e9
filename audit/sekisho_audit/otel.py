"""What OpenTelemetry calls fields of ours, for whoever brings the two together.

The names are those of the semantic conventions for generative AI; only what means the same is
listed. Content has names there too (`gen_ai.input.messages`, `gen_ai.output.messages`), but in
another form than the exact bytes that we keep, and it does not leave the ledger this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The registry was read at this commit. A manifest of theirs, at commit 67dff024, calls its schema
# gen-ai-dev/1.42.0-dev; that of this commit could not be read.
CONVENTIONS = "open-telemetry/semantic-conventions-genai at commit 002c8a6e"
# Of every name below: it may still be renamed.
STATUS = "Development"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute, and how its values differ from ours, if they do."""

    name: str
    differs: str = ""


_MODEL = Attribute("gen_ai.request.model")
_OUTCOME: Mapping[str, Attribute] = {
    "finish": Attribute("gen_ai.response.finish_reasons", "a list, of all choices"),
    "usage.prompt_tokens": Attribute("gen_ai.usage.input_tokens"),
    "usage.completion_tokens": Attribute("gen_ai.usage.output_tokens"),
}

# By type of event and field, or member of a field.
ATTRIBUTES: Mapping[str, Mapping[str, Attribute]] = {
    "request.received": {
        "endpoint": Attribute("gen_ai.operation.name", "`chat` for `chat.completions`"),
        "model": _MODEL,
        "stream": Attribute("gen_ai.request.stream"),
    },
    "hold.filed": {"model": _MODEL},
    "backend.intent": {"model": _MODEL},
    "backend.outcome": _OUTCOME,
    "outcome.late": _OUTCOME,
}
