"""What doctor says about channels."""

from __future__ import annotations

from sekisho.adapters.diagnosis_notify import channels
from sekisho.config.notify import ChannelSettings, NotifySettings


def test_each_channel_has_a_line() -> None:
    """Ready, or what is wrong with it, or that nothing leads to it; no address is shown."""
    every = NotifySettings(
        channels=(
            ChannelSettings(name="a", kind="slack", url_env="A_URL", groups=("reviewer",)),
            ChannelSettings(name="b", kind="slack", url_env="B_URL", groups=("reviewer",)),
            ChannelSettings(name="c", kind="slack", url_env="A_URL"),
        )
    )
    found = list(channels(every, {"A_URL": "https://hooks.example/canary"}))
    assert [(one.part, one.ok, bool(one.mend)) for one in found] == [
        ("channel a", True, False),
        ("channel b", False, True),
        ("channel c", True, True),
    ]
    assert "B_URL is not set" in found[1].said
    assert "canary" not in repr(found)
