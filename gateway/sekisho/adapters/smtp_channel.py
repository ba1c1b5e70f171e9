"""Brings notifications to people by mail: over TLS with a trusted certificate, or not at all.

Subject and headers are ours and fixed; what came from elsewhere stands in the body, as plain text.
`Message-ID` is made from the notification's id, so a mail program shows a message once that was
sent twice. The server's words are never repeated: they often quote addresses.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import aiosmtplib

from sekisho.adapters.notification_words import say
from sekisho.adapters.tls_trust import untrusted
from sekisho.model.notification import Notification, NotSent
from sekisho.ports import Clock

_NO_SUCH = frozenset({550, 551, 553})  # addresses that the server knows to be wrong


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The server and who gets the mail."""

    host: str
    port: int
    implicit: bool
    sender: str
    to: tuple[str, ...]
    language: str = "en"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


class SmtpChannel:
    """The courier of one channel; a connection a message. See the port Courier."""

    def __init__(self, mailbox: Mailbox, clock: Clock, public_url: str, deadline_s: float) -> None:
        self._mailbox = mailbox
        self._clock = clock
        self._public_url = public_url
        self._deadline_s = deadline_s

    async def send(self, notification: Notification) -> None:
        """See Courier."""
        mailbox = self._mailbox
        try:
            async with asyncio.timeout(self._deadline_s):
                refused, _ = await aiosmtplib.send(
                    self.message(notification),
                    sender=mailbox.sender,
                    recipients=list(mailbox.to),
                    hostname=mailbox.host,
                    port=mailbox.port,
                    use_tls=mailbox.implicit,
                    start_tls=not mailbox.implicit,
                    tls_context=_trusting(mailbox.ca_file),
                    username=mailbox.username,
                    password=mailbox.password,
                    timeout=self._deadline_s,
                )
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            # From nothing: a server's words quote addresses, and may quote more.
            raise _not_sent(error) from None
        if refused:
            raise NotSent("some_refused", final=True)  # the others have it

    async def close(self) -> None:
        """See Courier."""

    def message(self, notification: Notification) -> EmailMessage:
        """The mail as it is sent."""
        now_us = self._clock.now_us()
        said = say(notification, self._mailbox.language, self._public_url, now_us)
        domain = self._mailbox.sender.rpartition("@")[2]
        mail = EmailMessage(policy=SMTP)
        mail["From"] = Address(display_name="Sekisho", addr_spec=self._mailbox.sender)
        mail["To"] = [Address(addr_spec=one) for one in self._mailbox.to]
        mail["Subject"] = f"Sekisho: {said.title}"
        mail["Date"] = format_datetime(datetime.fromtimestamp(now_us / 1_000_000, UTC))
        mail["Message-ID"] = f"<{notification.id}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply to it
        mail["X-Auto-Response-Suppress"] = "All"
        mail.set_content(said.plain() + "\n", subtype="plain", charset="utf-8")
        return mail


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))


def _not_sent(error: Exception) -> NotSent:
    if untrusted(error):
        return NotSent("untrusted_certificate")
    if type(error) is aiosmtplib.SMTPException:  # bare where STARTTLS is not offered
        return NotSent("no_tls")
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return NotSent("sign_in_refused")
        case aiosmtplib.SMTPRecipientsRefused():
            codes = {one.code for one in error.recipients}
            return NotSent("recipients_refused", final=codes <= _NO_SUCH)
        case aiosmtplib.SMTPNotSupported():
            return NotSent("sign_in_refused")
        case aiosmtplib.SMTPResponseException():
            return NotSent(f"reply_{error.code}")
        case aiosmtplib.SMTPServerDisconnected():
            return NotSent("no_answer")
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return NotSent("timeout")
        case aiosmtplib.SMTPConnectError() | OSError():
            return NotSent("unreachable")
        case _:
            return NotSent("no_answer")
