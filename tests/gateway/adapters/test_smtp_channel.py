"""Mail reaches a real SMTP server over TLS, or is not sent; nothing gets into its headers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from email.headerregistry import Address
from pathlib import Path

import pytest

from sekisho.adapters.smtp_channel import Mailbox, SmtpChannel
from sekisho.model.notification import Moment, Notification, NotSent
from support.authority import Authority
from support.holds import SystemClock
from support.mail_site import PASSWORD, USER, MailSite, mail_site

HOLD = "hold_" + "0a" * 16
TOLD = Notification(
    "5c0e9a1e-0000-8000-8000-000000000001",
    "c",
    Moment.FILED,
    rules=("packs.finance.payments",),
    stage="tool_call",
    risk=60,
    hold=HOLD,
    expires_us=time.time_ns() // 1000 + 1_800_000_000,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("mail"))


@pytest.fixture
async def site(authority: Authority) -> AsyncIterator[MailSite]:
    async with mail_site(authority.server()) as one:
        yield one


def channel(site: MailSite, ca_file: Path | None, **changes: object) -> SmtpChannel:
    mailbox = Mailbox(
        "127.0.0.1", site.port, implicit=False, sender="gate@example.org", to=("all@example.org",)
    )
    mailbox = replace(mailbox, ca_file=ca_file, **changes)  # type: ignore[arg-type]
    return SmtpChannel(mailbox, SystemClock(), "https://gate.example", 5)


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
async def test_a_mail_arrives_and_says_where_to_look(
    site: MailSite, authority: Authority, language: str
) -> None:
    """Over STARTTLS; the same id every time, so that a mail program shows it once."""
    to = ("one@example.org", "two@example.org")
    await channel(site, authority.pem, language=language, to=to).send(TOLD)
    await channel(site, authority.pem, language=language, to=to).send(TOLD)
    [mail, again] = site.mails
    assert site.to[0] == list(to)
    assert mail["message-id"] == again["message-id"] == f"<{TOLD.id}@example.org>"
    assert mail["auto-submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content()
    assert f"https://gate.example/approvals/{HOLD}" in text
    assert "packs.finance.payments" in text
    assert max(map(len, site.raw[0].split(b"\r\n"))) < 998


async def test_implicit_tls_works_as_well(authority: Authority) -> None:
    """The older way, on a port of its own."""
    async with mail_site(authority.server(), implicit=True) as site:
        await channel(site, authority.pem, implicit=True).send(TOLD)
        assert len(site.mails) == 1


async def test_a_password_is_told_after_tls_and_never_repeated(authority: Authority) -> None:
    """The right one is taken, the wrong one is a failure that quotes nothing."""
    async with mail_site(authority.server(), password=True) as site:
        await channel(site, authority.pem, username=USER, password=PASSWORD).send(TOLD)
        wrong = channel(site, authority.pem, username=USER, password=PASSWORD + "x")
        with pytest.raises(NotSent, match="sign_in_refused") as failed:
            await wrong.send(TOLD)
        assert PASSWORD not in repr(failed.value)
        assert PASSWORD not in repr(wrong._mailbox)
        assert len(site.mails) == 1


async def test_without_trusted_tls_nothing_is_sent(authority: Authority) -> None:
    """No certificate that we know, or no TLS at all: not one byte of a message, no password."""
    async with mail_site(authority.server()) as site:
        with pytest.raises(NotSent, match="untrusted_certificate"):
            await channel(site, None).send(TOLD)
        assert not site.mails
    async with mail_site(None) as site:
        with pytest.raises(NotSent):
            await channel(site, authority.pem, username=USER, password=PASSWORD).send(TOLD)
        with pytest.raises(NotSent, match="no_tls"):
            await channel(site, authority.pem).send(TOLD)
        assert not site.mails


@pytest.mark.parametrize(
    ("says", "cause"),
    [
        ("451 busy canary@example.org", "reply_451"),
        ("554 spam canary@example.org", "reply_554"),
        ("drop", "no_answer"),
    ],
)
async def test_a_server_that_does_not_take_it_is_a_failure(
    site: MailSite, authority: Authority, says: str, cause: str
) -> None:
    """Whatever it says is not repeated: it may quote addresses. After a lost reply it comes twice,
    with the same id.
    """
    site.ahead = [says]
    with pytest.raises(NotSent, match=cause) as failed:
        await channel(site, authority.pem).send(TOLD)
    assert "canary" not in repr(failed.value)
    await channel(site, authority.pem).send(TOLD)
    assert {mail["message-id"] for mail in site.mails} == {f"<{TOLD.id}@example.org>"}


@pytest.mark.parametrize(
    ("to", "cause"),
    [
        (("nobody@example.org",), "recipients_refused"),
        (("nobody@example.org", "all@example.org"), "some_refused"),
    ],
)
async def test_an_address_that_is_refused_is_told(
    site: MailSite, authority: Authority, to: tuple[str, ...], cause: str
) -> None:
    """Not tried again: the server knows that nobody is there. The others have it."""
    with pytest.raises(NotSent, match=cause) as failed:
        await channel(site, authority.pem, to=to).send(TOLD)
    assert failed.value.final
    assert len(site.mails) == len(to) - 1


async def test_nobody_there_is_told_as_such(authority: Authority) -> None:
    """The port is closed."""
    with pytest.raises(NotSent, match="unreachable"):
        await channel(MailSite(port=9), authority.pem).send(TOLD)


@pytest.mark.parametrize(
    "payload",
    ["x\r\nBcc: victim@example.org", "x\nSubject: other", "x\r\n.\r\nMAIL FROM:<a@b>", "\u2028x"],
)
async def test_no_header_comes_from_elsewhere(
    site: MailSite, authority: Authority, payload: str
) -> None:
    """A rule, stage or state with line ends in it stays in one line of the body."""
    told = replace(TOLD, rules=(payload,), stage=payload, state=payload)
    await channel(site, authority.pem).send(told)
    [mail] = site.mails
    assert site.to == [["all@example.org"]]
    assert set(mail.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("X-Auto-Response-Suppress", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    }
    assert mail["subject"] == "Sekisho: Waiting for your review"
    assert mail["to"].addresses == (Address(addr_spec="all@example.org"),)
    assert not any(
        line.startswith(("Bcc", "Subject", ".")) for line in mail.get_content().split("\n")
    )
