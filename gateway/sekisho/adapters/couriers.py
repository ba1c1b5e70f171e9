"""The couriers of all channels, made from the settings and the secrets of the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sekisho.adapters.http_channel import HttpChannel, Target, fault_of
from sekisho.adapters.smtp_channel import Mailbox, SmtpChannel
from sekisho.adapters.webhook_signature import BadKey, read_key
from sekisho.config.notify import ChannelSettings, NotifySettings
from sekisho.model.notification import Channel, Couriers
from sekisho.ports import Clock


def channels(settings: NotifySettings) -> tuple[Channel, ...]:
    """Whom each channel reaches."""
    return tuple(
        Channel(
            name=one.name,
            groups=frozenset(one.groups),
            escalation_of=frozenset(one.escalation_of),
            requesters=frozenset(one.requesters),
            per_minute_max=one.per_minute_max,
        )
        for one in settings.channels
    )


def faults(settings: NotifySettings, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What keeps a channel from working, as its name and a sentence that quotes no secret."""
    for channel in settings.channels:
        for said in _faults(channel, settings, environ):
            yield channel.name, said


def couriers(
    settings: NotifySettings, environ: Mapping[str, str], clock: Clock, public_url: str
) -> Couriers:
    """One for each channel that has no fault."""
    broken = {name for name, _ in faults(settings, environ)}
    return {
        one.name: _courier(one, environ, clock, public_url, settings.deadline_s)
        for one in settings.channels
        if one.name not in broken
    }


def _courier(
    one: ChannelSettings,
    environ: Mapping[str, str],
    clock: Clock,
    public_url: str,
    deadline_s: float,
) -> HttpChannel | SmtpChannel:
    if one.kind == "smtp":
        mailbox = Mailbox(
            host=one.host or "",
            port=one.smtp_port,
            implicit=one.tls == "implicit",
            sender=one.sender or "",
            to=one.to or (),
            language=one.language,
            username=one.username,
            password=environ[one.secret_env] if one.secret_env else None,
            ca_file=one.ca_file,
        )
        return SmtpChannel(mailbox, clock, public_url, deadline_s)
    secret = environ[one.secret_env] if one.secret_env else ""
    names = (one.secret_env, one.secret_before_env) if one.kind == "webhook" else ()
    target = Target(
        kind=one.kind,
        url=environ[one.url_env or ""],
        language=one.language,
        secret="" if one.kind == "webhook" else secret,
        keys=tuple(read_key(environ[name]) for name in names if name),
        ca_file=one.ca_file,
    )
    return HttpChannel(target, clock, public_url, deadline_s)


def _faults(
    one: ChannelSettings, settings: NotifySettings, environ: Mapping[str, str]
) -> Iterator[str]:
    missing = [name for name in one.variables if not environ.get(name)]
    if missing:
        yield f"{', '.join(missing)} is not set"
        return
    if one.url_env and (said := fault_of(environ[one.url_env], settings.http_hosts)):
        yield f"the address in {one.url_env} {said}"
    if one.kind == "webhook":
        for name in (one.secret_env, one.secret_before_env):
            if name:
                try:
                    read_key(environ[name])
                except BadKey as error:
                    yield f"{name} {error}"
    if one.ca_file is not None and not one.ca_file.is_file():
        yield f"{one.ca_file} is not there"
