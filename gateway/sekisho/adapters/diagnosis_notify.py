"""What `sekisho doctor` says about notifications: whether each channel has what it needs.

Nothing is sent and nobody is asked: `sekisho notify test` does that, and says so to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sekisho.adapters.couriers import faults
from sekisho.adapters.finding import Finding
from sekisho.config.notify import NotifySettings


def channels(settings: NotifySettings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each channel that can be used, or one for each fault of it."""
    wrong = list(faults(settings, environ))
    broken = {name for name, _ in wrong}
    for channel in settings.channels:
        part = f"channel {channel.name}"
        if channel.name not in broken:
            mend = "" if _reaches(channel.name, settings) else f"give {channel.name} groups"
            said = f"{channel.kind}; `sekisho notify test {channel.name}` sends something"
            if mend:
                said = f"{channel.kind}; told of nothing but what rules name it for"
            yield Finding(part, ok=True, said=said, mend=mend)
        for name, said in wrong:
            if name == channel.name:
                yield Finding(part, ok=False, said=said, mend="see docs/howto/notify.md")


def _reaches(name: str, settings: NotifySettings) -> bool:
    one = settings.channel(name)
    return one is not None and bool(one.groups or one.escalation_of or one.requesters)
