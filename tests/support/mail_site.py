"""A real SMTP server on loopback (aiosmtpd), with STARTTLS or implicit TLS, and a password."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from support.authority import Pair

USER, PASSWORD = "sekisho", "password-canary-81c3"


@dataclass
class MailSite:
    """What arrived, and what the server says next instead of taking it."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    to: list[list[str]] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        if "nobody" in address:
            return f"550 no such user {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        said = self.ahead.pop(0) if self.ahead else ""
        if said and said != "drop":
            return said
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.raw.append(content)
        self.mails.append(mail)
        self.to.append(list(envelope.rcpt_tos))
        if said == "drop":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 taken"


def _known(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object
) -> AuthResult:
    fine = given == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=fine, handled=False)


@asynccontextmanager
async def mail_site(
    pair: Pair | None, *, implicit: bool = False, password: bool = False
) -> AsyncIterator[MailSite]:
    """Without a `pair` it has no TLS at all."""
    site = MailSite()
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
    starttls = not implicit and context is not None
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            site,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=password,
            authenticator=_known if password else None,
            auth_require_tls=not implicit,  # aiosmtpd does not count implicit TLS as TLS
            enable_SMTPUTF8=True,
            loop=loop,
        )

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if implicit else None)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        await server.wait_closed()
