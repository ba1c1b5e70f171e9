"""What is wrong with a value, in words: settings, policy data and requests are all checked by
pydantic, whose own sentences are for programmers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be text (in quotes)",
    "string_pattern_mismatch": "is not of the right form",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number that is not infinite",
    "bool_type": "must be true or false",
    "list_type": 'must be a list, as ["a", "b"]',
    "dict_type": "must be names with a value each, as {name: value}",
    "model_type": "must be names with a value each, as {name: value}",
    "model_attributes_type": "must be names with a value each, as {name: value}",
    "string_too_short": "must not be empty",
}
_WITH_BOUND = {
    "greater_than": ("gt", "must be more than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "string_too_long": ("max_length", "must have at most {} characters"),
    "too_long": ("max_length", "must have at most {} entries"),
    "too_short": ("min_length", "must have at least {} entries"),
    "literal_error": ("expected", "must be {}"),
}


def in_words(detail: Mapping[str, Any]) -> str:
    """The end of a sentence that begins with the place of `detail`, one of pydantic's errors."""
    kind = str(detail["type"])
    if kind in _PLAIN:
        return _PLAIN[kind]
    bound = _WITH_BOUND.get(kind)
    if bound is not None and bound[0] in detail.get("ctx", {}):
        return bound[1].format(detail["ctx"][bound[0]])
    said = str(detail["msg"]).removeprefix("Value error, ")
    return said.replace("Input should", "must")
