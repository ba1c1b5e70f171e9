"""A request goes where policy lets it, or nowhere."""

from __future__ import annotations

import pytest

from sekisho.errors import DeniedByPolicy
from sekisho.model.catalog import Backend, Catalog
from sekisho.obligations import pin_route

CATALOG = Catalog(
    (
        Backend("abroad", ("gpt-*", "qwen"), "external"),
        Backend("region", ("gpt-4o", "qwen"), "region"),
        Backend("house", ("qwen",), "onprem"),
        Backend("cellar", ("qwen", "gpt-5"), "onprem"),
    )
)


@pytest.mark.parametrize(
    ("route", "model", "by_itself", "goes_to"),
    [
        ("trust:onprem", "qwen", "abroad", "house"),
        ("trust:onprem", "qwen", "cellar", "cellar"),
        ("trust:onprem", "gpt-5", "abroad", "cellar"),
        ("trust:region", "gpt-4o", "abroad", "region"),
        ("trust:region", "qwen", "house", "house"),
        ("trust:external", "gpt-4", "abroad", "abroad"),
        ("cellar", "qwen", "abroad", "cellar"),
        ("abroad", "gpt-5", "abroad", "abroad"),
    ],
)
def test_the_first_that_is_trusted_enough(
    route: str, model: str, by_itself: str, goes_to: str
) -> None:
    """Where it would go anyway, if that will do."""
    assert goes_to == pin_route.apply(route, model, by_itself, CATALOG)


@pytest.mark.parametrize(
    ("route", "model", "said"),
    [
        ("trust:onprem", "gpt-4o", "to our own premises"),
        ("trust:region", "gpt-3", "to our region or our own premises"),
        ("house", "gpt-5", "to the backend 'house'"),
        ("nowhere", "qwen", "to the backend 'nowhere'"),
    ],
)
def test_without_one_nothing_leaves(route: str, model: str, said: str) -> None:
    """The refusal says what was wanted, and which model."""
    with pytest.raises(DeniedByPolicy, match=said) as caught:
        pin_route.apply(route, model, "abroad", CATALOG)
    assert "no_route" == caught.value.code
    assert repr(model) in caught.value.message


@pytest.mark.parametrize("route", ["trust:", "trust:house", "trust:ONPREM"])
def test_a_level_there_is_not_is_no_route(route: str) -> None:
    """A slip of the pen must not become a way out."""
    assert not pin_route.is_route(route)
    assert pin_route.is_route("trust:region")
    assert pin_route.is_route("backend-1")
