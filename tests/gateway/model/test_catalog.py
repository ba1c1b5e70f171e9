"""Which backend serves which model."""

from __future__ import annotations

from sekisho.model.catalog import Backend, Catalog

CATALOG = Catalog(
    (
        Backend("exact", ("gpt-4o",), "external"),
        Backend("pattern", ("gpt-*", "[odd]"), "region"),
        Backend("rest", ("local/*",), "onprem"),
    )
)


def test_the_first_that_offers_it() -> None:
    """Order of the configuration decides."""
    found = [CATALOG.backend_for(model) for model in ("gpt-4o", "gpt-4o-mini", "local/a/b")]

    assert ["exact", "pattern", "rest"] == [backend.id for backend in found if backend]


def test_nobody_offers_it() -> None:
    """No backend is no answer, never a default one; case matters."""
    assert CATALOG.backend_for("claude") is None
    assert CATALOG.backend_for("GPT-4o") is None
    assert CATALOG.backend_for("") is None


def test_a_name_that_looks_like_a_pattern() -> None:
    """A name is also matched as it is written."""
    found = CATALOG.backend_for("[odd]")
    assert found is not None
    assert "pattern" == found.id


def test_a_name_is_listed_under_the_backend_that_serves_it() -> None:
    """Names as written, then what backends list, if a request for it would go there; once each."""
    heard = {
        "pattern": ["gpt-4o", "gpt-5", "o1", "gpt-5"],
        "rest": ["gpt-6", "local/a"],
        "exact": ["gpt-7"],
    }

    assert {
        "gpt-4o": "exact",
        "gpt-5": "pattern",
        "[odd]": "pattern",
        "local/a": "rest",
    } == CATALOG.listed(heard)
    assert ["gpt-4o", "[odd]"] == list(CATALOG.listed({}))


def test_a_name_behind_another_backends_pattern_is_listed_as_served() -> None:
    """The first that offers it gets the request, so it is not the second's."""
    both = Catalog((Backend("all", ("*",), "external"), Backend("own", ("mine",), "onprem")))
    assert {"mine": "all"} == both.listed({"own": ["mine", "more"]})
