"""Members of a request that make the backend act by itself: search, fetch, run code, keep state.

They act past every hold, so they are facts that policy judges, from lists per dialect; a client
may send any dialect to any backend. Lists age, so the shape decides where it can: a tool that is
not plainly a function of the client's counts as hosted, and so does a member nobody documents
whose name speaks of such a thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NAME_CHARS_MAX = 64  # a name is a label in a refusal and in the ledger, not content
NAMES_MAX = 64  # more of them change no decision

OPENAI_CHAT_FIELDS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "n",
        "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
        "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier",
        "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
        "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
        "web_search_options",
    }
)  # fmt: skip
KNOWN_FIELDS = {"chat.completions": OPENAI_CHAT_FIELDS}
"""Top-level members by endpoint; what is not here is an unknown field."""

ALWAYS = frozenset(
    {
        "background", "betas", "cached_content", "cachedcontent", "citation", "code_execution",
        "codeexecution", "computer_use", "computeruse", "container", "context_management",
        "conversation", "data_sources", "doc_ids", "document_ids", "enable_citation",
        "enable_code_interpreter", "enable_enhancement", "enable_search", "enable_source",
        "enable_text_image_mixed", "enable_trace", "enable_web_search", "enterprise_web_search",
        "enterprisewebsearch", "file_data", "file_ids", "file_search", "filedata", "fileids",
        "filesearch", "forced_search", "google_maps", "google_search", "google_search_retrieval",
        "googlemaps", "googlesearch", "googlesearchretrieval", "knowledge_base_ids",
        "mcp_servers", "online_search", "plugin_ids", "plugins", "previous_response_id", "prompt",
        "rag_options", "retrieval", "retrieval_options", "search_info", "search_options",
        "search_parameters", "url_context", "urlcontext", "user_location", "web_search",
        "web_search_options",
    }
)  # fmt: skip
"""Members that ask for it whatever their value, unless that value switches them off. Compared in
lower case."""

STATE = frozenset({"store"})
"""Members that make the backend keep the exchange when they are true."""

OFF = frozenset({"disable_search"})
"""Members that ask for it when they are false."""

_CONTAINERS = frozenset(
    {"extra_body", "google", "parameters", "extra", "options", "config", "tool_config",
     "toolconfig", "generation_config", "generationconfig"}
)  # fmt: skip
"""Members whose own members a client or a gateway lifts to the top."""

_FUNCTION_KEYS = frozenset({"type", "function", "strict", "cache_control"})
_CUSTOM_KEYS = frozenset({"type", "custom", "cache_control"})
_PLAIN_KEYS = frozenset(
    {"type", "name", "description", "input_schema", "cache_control", "strict", "parameters"}
)
"""A client's own function, as OpenAI (nested, custom) and Anthropic or Responses (plain) say it."""

_URL_PARTS = frozenset(
    {"image_url", "input_image", "file", "input_file", "image", "document", "video_url", "video",
     "audio_url", "file_url", "input_audio", "audio", "media"}
)  # fmt: skip
_REMOTE = frozenset({"file_id", "file_url", "fileuri", "file_uri", "filedata", "file_data_uri"})
_TELLING = re.compile(
    r"search|browse|crawl|plugin|retriev|knowledge|grounding|connector|mcp|interpreter|agent"
    r"|fetch|webhook|callback|session|thread|memory|assistant_id|bot_id|app_id|remote|store"
)
_DATA_URL = re.compile(r"\s*data:", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*(?:https?|gs|s3|file|ftp)://", re.IGNORECASE)
_TEXT = frozenset(
    {"", "text", "content", "refusal", "reasoning_content", "reasoning", "thinking", "arguments",
     "output", "input", "name", "user", "stop", "description", "value"}
)  # fmt: skip
"""Members whose strings are read, not fetched."""
_REMOTE_ANYWHERE = _REMOTE | {"mcp_servers", "data_sources", "server_url"}
_SCHEMAS = frozenset({"tools", "functions", "response_format"})
"""Members with JSON schemas, whose names are the client's own; other checks look at these."""
_INNER_KEYS = frozenset({"name", "description", "parameters", "strict", "format", "input_schema"})
_CHOICES = frozenset({"none", "auto", "required", "any"})
_CHOICE_KINDS = _CHOICES | {"function", "custom", "allowed_tools", "tool"}


def find_hosted(parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of everything in `parsed` that would act at the backend, sorted."""
    found = set(_members(parsed, OPENAI_CHAT_FIELDS))
    found |= set(_tools(parsed.get("tools"), "tools"))
    found |= set(_choice(parsed.get("tool_choice")))
    found |= set(_functions(parsed.get("functions")))
    messages = parsed.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            found |= set(_parts(message.get("content")))
            found |= _named(message, {"file_ids", "attachments", "files", "documents", "audio"})
    if not found:  # a net under the checks above, which name things better
        found = set(_deep((name, value) for name, value in parsed.items() if name not in _SCHEMAS))
    return tuple(sorted(found))[:NAMES_MAX]


def _deep(members: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """Names that always act at the backend, and addresses it would fetch, at whatever depth.

    Text is text: an address in a sentence is nobody's to fetch. Walks without recursion.
    """
    stack = list(members)
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            for inner, below in value.items():
                low = inner.lower()
                if low in _REMOTE_ANYWHERE and _on(below):
                    yield f"content.{low[:NAME_CHARS_MAX]}"
                stack.append((low, below))
        elif isinstance(value, list):
            stack.extend((name, below) for below in value)
        elif isinstance(value, str) and name not in _TEXT and _ADDRESS.match(value):
            yield f"content.{_label(name)}"


def _functions(functions: Any) -> Iterator[str]:
    """The older spelling of a client's own functions."""
    for item in _list(functions):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name.startswith("$"):
            yield f"functions.{_label(name)}"


def find_unknown_fields(parsed: Mapping[str, Any], endpoint: str) -> tuple[str, ...]:
    """Top-level members that the API of `endpoint` does not have, sorted."""
    known = KNOWN_FIELDS.get(endpoint, frozenset())
    unknown = {name[:NAME_CHARS_MAX] for name in parsed if name not in known}
    return tuple(sorted(unknown))[:NAMES_MAX]


def tool_names(parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the client's own functions, sorted."""
    names = {function_name(tool) for tool in _list(parsed.get("tools"))}
    names |= {str(item.get("name", "")) for item in _dicts(parsed.get("functions"))}
    return tuple(sorted(name for name in names if name))


def function_name(tool: Any) -> str:
    """The name of a client's own function, empty for anything else."""
    if not isinstance(tool, dict):
        return ""
    inner = tool.get("function", tool.get("custom", tool))
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _members(parsed: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    for name, value in parsed.items():
        low = name.lower()
        for inner in [value] if isinstance(value, dict) else _dicts(value):
            if low in _CONTAINERS:
                yield from _members(inner, known)
                yield from _tools(inner.get("tools"), "tools")
        asks = low in ALWAYS or low in STATE or (name not in known and _TELLING.search(low))
        if (value is not True) if low in OFF else (asks and _on(value)):
            yield low[:NAME_CHARS_MAX]


def _on(value: Any) -> bool:
    """Whether a value asks for something. An empty object does (`web_search_options: {}`), and
    so does the word "false": some backends read any text as yes.
    """
    return value is not None and value is not False


def _tools(tools: Any, place: str) -> Iterator[str]:
    if tools is None:
        return
    if not isinstance(tools, list):
        yield f"{place}.malformed"
        return
    for tool in tools:
        if not isinstance(tool, dict):
            yield f"{place}.malformed"
        elif not _own_function(tool):
            kind = tool.get("type")
            named = kind if isinstance(kind, str) else "+".join(sorted(tool))
            yield f"{place}.{_label(named)}"


def _own_function(tool: dict[str, Any]) -> bool:
    """Whether `tool` is plainly a function that runs at the client."""
    name = function_name(tool)
    if not name or name.startswith("$"):
        return False
    keys = set(tool)
    match tool.get("type"):
        case "function":
            inner = tool.get("function")
            if isinstance(inner, dict):
                return keys <= _FUNCTION_KEYS and set(inner) <= _INNER_KEYS
            return "function" not in keys and keys <= _PLAIN_KEYS
        case "custom":
            return keys <= _CUSTOM_KEYS or keys <= _PLAIN_KEYS
        case None:
            return "type" not in keys and (keys <= _PLAIN_KEYS or keys <= {"function"})
        case _:
            return False


def _choice(choice: Any) -> Iterator[str]:
    if isinstance(choice, str) and choice not in _CHOICES:
        yield f"tool_choice.{_label(choice)}"
    if not isinstance(choice, dict):
        return
    kind = choice.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _CHOICE_KINDS):
        yield f"tool_choice.{_label(kind)}"
    if kind == "allowed_tools":
        inner = choice.get("allowed_tools", choice)
        for tool in _dicts(inner.get("tools") if isinstance(inner, dict) else None):
            if tool.get("type") not in ("function", "custom"):
                yield f"tool_choice.{_label(tool.get('type'))}"


def _parts(content: Any) -> Iterator[str]:
    """Parts of a message that the backend would fetch or already keeps."""
    parts = [content] if isinstance(content, dict) else _list(content)
    for part in parts:
        if not isinstance(part, dict):
            continue
        kind = part.get("type")
        for name, value in part.items():
            yield from _part_member(_label(kind) if isinstance(kind, str) else name, name, value)


def _part_member(kind: str, name: str, value: Any) -> Iterator[str]:
    low = name.lower()
    if low in _REMOTE:
        yield f"content.{low}"
    elif low in {"cache_control", "citations", "text", "type"}:
        return
    elif low == "source" and isinstance(value, dict):
        if value.get("type") not in ("base64", "text", "content"):
            yield f"content.{kind}.{_label(value.get('type'))}"
    elif low in _URL_PARTS or low == "url":
        yield from _remote_value(kind, value)
    elif low == "content" and isinstance(value, list):
        yield from _parts(value)


def _remote_value(kind: str, value: Any) -> Iterator[str]:
    """A part's address: inline data stays here, everything else is fetched by the backend."""
    if isinstance(value, str):
        if not _DATA_URL.match(value):
            yield f"content.{kind}"
    elif isinstance(value, list):
        for item in value:
            yield from _remote_value(kind, item)
    elif isinstance(value, dict):
        for name, inner in value.items():
            low = name.lower()
            if low in _REMOTE or low == "id":
                yield f"content.{low}"
            elif low in {"url", "uri"}:
                yield from _remote_value(kind, inner)


def _named(message: dict[str, Any], names: set[str]) -> set[str]:
    return {f"messages.{name}" for name in names if message.get(name)}


def _label(value: Any) -> str:
    text = value if isinstance(value, str) else "malformed"
    return text.lower()[:NAME_CHARS_MAX] or "malformed"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]
