"""Backend profiles are data beside the code."""

from __future__ import annotations

import pytest

from sekisho.backends.profile import UnknownProfile, load


def test_openai_is_there() -> None:
    """The profile every compatible server uses."""
    profile = load("openai")

    assert "bearer" == profile.auth
    assert "/chat/completions" == profile.paths["chat.completions"]


@pytest.mark.parametrize("name", ["nosuch", "", "../openai", "profile"])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    """A typing error in the settings is easy to mend, and no other file can be read."""
    with pytest.raises(UnknownProfile, match="openai"):
        load(name)
