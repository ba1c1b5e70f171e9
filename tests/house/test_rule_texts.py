"""Whoever is refused or has to wait reads why in their language: English, Chinese or Japanese."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opa_bindings import OpaEngine

from sekisho.adapters.bundle import Module, read_bundle, syntax_tree
from sekisho.adapters.rego_tree import nodes
from support.rules import SHIPPED

_TELLS = frozenset({"deny", "hold"})
_WRITING = {"zh": re.compile(r"[\u4e00-\u9fff]"), "ja": re.compile(r"[\u3040-\u30ff]")}
_PLACES = re.compile(r"%[a-z]|\{[a-z_]*\}")


def _packs() -> list[Module]:
    return [one for one in read_bundle(SHIPPED).modules if one.path.startswith("packs/")]


def _texts(rule: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """Objects with a text in English, as `text.reason` takes them."""
    for node in nodes([rule]):
        if node.get("type") != "object":
            continue
        members = {key.get("value"): value.get("value") for key, value in node["value"]}
        if "en" in members:
            yield members


@pytest.mark.parametrize("module", _packs(), ids=lambda module: module.path)
def test_each_refusal_and_each_hold_speaks_three_languages(module: Module) -> None:
    """Each in its own writing, and with the same values filled in."""
    with OpaEngine() as parser:
        rules = syntax_tree(parser, module).get("rules", [])
    named = {rule["head"]["ref"][0]["value"]: list(_texts(rule)) for rule in rules}
    for rule in rules:
        name = rule["head"]["ref"][0]["value"]
        if name not in _TELLS:
            continue
        read = {str(node.get("value")) for node in nodes([rule]) if node.get("type") == "var"}
        told = [*_texts(rule), *(one for each in read - _TELLS for one in named.get(each, ()))]
        assert told, f"{module.path}: a {name} says nothing"
        for texts in told:
            assert texts.keys() == {"en", "zh", "ja"}, texts
            for language, writing in _WRITING.items():
                assert writing.search(texts[language]), texts
            filled = [sorted(_PLACES.findall(text)) for text in texts.values()]
            assert filled[0] == filled[1] == filled[2], texts
