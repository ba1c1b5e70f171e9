"""OPA beside this process: the `PolicyEngine` of sites that run an OPA server.

The server and this adapter have the same bundle: the server polls it, the adapter reads it from
disk for its words, limits and digest, and tries it in OPA as a library before it asks for it. Every
answer names the bundle that gave it (OPA's provenance, from the transaction that decided). One that
names another revision, none, or several bundles is refused, so a server that lost its rules, was
left behind or has more rules than ours decides nothing. A decision is a pure question: it is asked
a second time after a connection that was reset, and never after anything else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from sekisho.adapters.bundle import Bundle, must_be, read_bundle
from sekisho.adapters.circuit import Circuit
from sekisho.adapters.opa_channel import (
    OpaChannel,
    OpaPlace,
    OpaRefused,
    cause_of,
    is_reset,
)
from sekisho.adapters.policy_answer import failed, no_result, read_result
from sekisho.adapters.policy_check import try_bundle
from sekisho.adapters.policy_smoke import SMOKE_INPUTS, smoke_fault
from sekisho.config import PolicySettings
from sekisho.content.scan import Scanner
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.assistant import NO_ASSISTANTS, Assistants
from sekisho.model.decision import Decision
from sekisho.model.prices import UsageRules

DEADLINE_MS = 250  # over loopback a decision takes about 1 ms; later than this is a deny
SERVED_S_MAX = 60.0  # a server that polls has a new bundle within its longest delay
SERVED_STEP_S = 0.2  # between looks whether it has
ENGINE_NAME = "opa-server"
_SPOKEN = frozenset(
    {"eval_builtin_error", "eval_conflict_error", "eval_type_error", "eval_with_merge_error"}
)
"""OPA's codes for rules that cannot be evaluated; any other error is the server's."""

_SERVER_ERROR = 500  # from here on HTTP blames the server

_log = structlog.get_logger("sekisho.policy")


class ServerOPA:
    """See the module's docstring. Built anywhere, then used in the event loop that calls `start`.

    `scanner` has the words of the active bundle; it is the same object for good.
    """

    def __init__(
        self,
        directory: Path,
        place: OpaPlace,
        *,
        deadline_ms: int = DEADLINE_MS,
        served_s_max: float = SERVED_S_MAX,
    ) -> None:
        self._directory = directory
        self._deadline_s = deadline_ms / 1000
        self._served_s_max = served_s_max
        self._channel = OpaChannel(place, self._deadline_s)
        self._circuit = Circuit()
        self._bundle: Bundle | None = None
        self._awaited: Bundle | None = None
        self._refused: tuple[str, PolicyRejected] | None = None
        self._proven = ""
        self._proving = asyncio.Lock()
        self._cause = ""
        self.scanner = Scanner()

    async def start(
        self,
        on_exhausted: Callable[[], None] | None = None,
        directory: Path | None = None,
        revision: str | None = None,
    ) -> None:
        """Load the bundle, or that of another directory; the server may come later. Raises
        PolicyRejected with all faults.

        `on_exhausted` is never called: no decision of the server can use up this worker.
        """
        del on_exhausted
        try:
            await self._channel.open()
        except OSError as error:
            text = f"[policy] tls_ca, tls_certificate or tls_key: {error.strerror or error}"
            raise PolicyRejected([text]) from error
        await self.reload(directory or self._directory, revision)

    async def close(self) -> None:
        """Close the connections."""
        self._bundle = None
        await self._channel.close_connection()

    async def check(self) -> None:
        """For /readyz: asks the server what must be denied. Raises PolicyUnavailable, saying to an
        operator what to mend.
        """
        active = self._active
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._smoke()
        except TimeoutError as error:
            raise _operators("late", active.revision) from error
        except PolicyUnavailable as error:
            raise _operators(error.cause, active.revision) from error
        self._circuit.answered()

    @property
    def revision(self) -> str:
        """The digest of the active bundle."""
        return self._active.revision

    @property
    def bundle(self) -> Bundle:
        """The active bundle; its words are for the scanner."""
        return self._active

    @property
    def assistants(self) -> Assistants:
        """Those of the active bundle; none while there is none, since nothing can be asked then."""
        try:
            return self._active.assistants
        except PolicyUnavailable:
            return NO_ASSISTANTS

    @property
    def usage(self) -> UsageRules:
        """Limits and prices of the active bundle. PolicyUnavailable if there is none yet."""
        return self._active.usage

    @property
    def _active(self) -> Bundle:
        if self._bundle is None:
            message = "The rules are not loaded. Try again in a moment."
            raise PolicyUnavailable(message, cause="not_loaded")
        return self._bundle

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        """Ask the rules; see `PolicyEngine.decide`."""
        _ = self._active
        if not self._circuit.may_ask():
            raise _employees("resting")
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._prove()
                decision = await self._question(document)
        except TimeoutError as error:
            self._note("late")
            self._circuit.failed()
            raise _employees("late") from error
        except PolicyUnavailable as error:
            self._note(error.cause)
            raise
        self._note("")
        return decision

    async def reload(self, directory: Path, revision: str | None = None) -> str:
        """Read, compile and try another bundle, which must be `revision` if that is given; take it
        as soon as the server answers by it.

        Until then the old one stays, so that no exchange is refused in between. Raises
        PolicyRejected with all faults, or if the server does not serve it within its time.
        """
        bundle = await asyncio.to_thread(self._tried, directory, revision)
        if self._bundle is None:
            self._use(bundle)
        elif bundle.revision != self._bundle.revision:
            self._awaited = bundle
            try:
                await self._until_served(bundle)
            finally:
                self._awaited = None
        return bundle.revision

    def _tried(self, directory: Path, revision: str | None = None) -> Bundle:
        """A bundle that the library has compiled and asked; one refused before is not run again."""
        bundle = read_bundle(directory)
        must_be(bundle, revision)
        if self._refused is not None and self._refused[0] == bundle.revision:
            raise self._refused[1]
        try:
            try_bundle(bundle)
        except PolicyRejected as error:
            self._refused = (bundle.revision, error)
            raise
        return bundle

    async def _until_served(self, bundle: Bundle) -> None:
        cause = "late"
        try:
            async with asyncio.timeout(self._served_s_max):
                while self._active is not bundle:
                    try:
                        await self._question(SMOKE_INPUTS[0].document)
                    except PolicyUnavailable as error:
                        cause = error.cause
                    if self._active is not bundle:
                        cause = "old_revision"
                        await asyncio.sleep(SERVED_STEP_S)
        except TimeoutError as error:
            text = f"the OPA server did not serve {bundle.revision} within {self._served_s_max:g} s"
            raise PolicyRejected([f"sekisho/main.rego:1: {text} ({cause})"]) from error

    def _use(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.scanner.use_words(bundle.words)

    async def _prove(self) -> None:
        """The server denies what must be denied; looked at once for each revision."""
        if self._proven == self.revision:
            return
        async with self._proving:
            if self._proven != self.revision:
                await self._smoke()

    async def _smoke(self) -> None:
        revision = ""
        for case in SMOKE_INPUTS:
            decision = await self._question(case.document)
            fault = smoke_fault(case, decision)
            if fault:
                _log.error("the OPA server answers wrongly", fault=fault)
                self._proven = ""
                raise _employees("wrong_answer")
            revision = decision.revision
        self._proven = revision

    async def _question(self, document: Mapping[str, Any]) -> Decision:
        """One decision, by the revision that is active when it is asked or when it is answered.

        Raises PolicyUnavailable with its cause.
        """
        asked_by = self._active
        began_ns = time.perf_counter_ns()
        answer = await self._answer(document)
        took_us = (time.perf_counter_ns() - began_ns) // 1000
        if answer is None:
            # OPA's errors name no bundle, so another question finds out whose rules those were.
            told = await self._answer(SMOKE_INPUTS[0].document) or {}
            revision = self._named(told, asked_by)
            return failed(revision, engine=ENGINE_NAME, took_us=took_us)
        revision = self._named(answer, asked_by)
        if "result" not in answer:
            return no_result(revision, engine=ENGINE_NAME, took_us=took_us)
        return read_result(answer["result"], revision, engine=ENGINE_NAME, took_us=took_us)

    async def _answer(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """OPA's answer; None if it says that the rules could not be evaluated."""
        try:
            answer = await self._ask(document)
        except OpaRefused as error:
            self._heard(error.status)
            if error.inner and error.inner <= _SPOKEN:
                self._circuit.answered()
                return None
            raise _employees(cause_of(error)) from error
        except Exception as error:
            # The client lets errors of three libraries through; whatever it is, it is no decision.
            self._circuit.failed()
            raise _employees(cause_of(error)) from error
        self._circuit.answered()
        return answer

    def _heard(self, status: int) -> None:
        """A server that refuses a question works: what one request is like must not stop others."""
        if status < _SERVER_ERROR:
            self._circuit.answered()
        else:
            self._circuit.failed()

    async def _ask(self, document: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._channel.ask(document)
        except Exception as error:
            if not is_reset(error):
                raise
        return await self._channel.ask(document)

    def _named(self, answer: Mapping[str, Any], asked_by: Bundle) -> str:
        """The revision that answered, if it is one we know. Raises PolicyUnavailable."""
        provenance = answer.get("provenance")
        bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
        if not isinstance(bundles, dict) or not bundles:
            raise _employees("no_revision")
        if len(bundles) != 1:
            raise _employees("more_bundles")
        (named,) = bundles.values()
        revision = named.get("revision") if isinstance(named, dict) else None
        if self._awaited is not None and revision == self._awaited.revision:
            self._use(self._awaited)
        for known in (asked_by, self._active):
            if revision == known.revision:
                return known.revision
        raise _employees("stale_revision")

    def _note(self, cause: str) -> None:
        """Tell the log when the cause changes, not at every decision."""
        if cause == self._cause:
            return
        self._cause = cause
        if cause:
            _log.error("the OPA server gives no decisions", cause=cause)
        else:
            _log.warning("the OPA server gives decisions again")


def of_settings(policy: PolicySettings, token: str | None) -> ServerOPA:
    """The engine that section [policy] describes; `token` is what its variable holds."""
    shown, key = policy.tls_certificate, policy.tls_key
    place = OpaPlace(
        policy.url or "",
        token=token,
        ca_file=policy.tls_ca,
        client_pair=(shown, key) if shown and key else None,
    )
    return ServerOPA(policy.bundle, place, deadline_ms=policy.deadline_ms)


_SAID = {
    "late": "did not answer in time",
    "unreachable": "cannot be reached: start it, or mend [policy] url",
    "reset": "ended the connection twice: is it OPA, and with https if [policy] url has it?",
    "refused": "does not let us ask: mend [policy] token_env or its system.authz policy",
    "untrusted": "has a certificate that is not trusted here: mend [policy] tls_ca",
    "unreadable": "gave an answer that is no JSON object: does [policy] url name an OPA server?",
    "no_revision": "names no bundle in its answers: it has no rules yet, or not from a bundle",
    "more_bundles": "runs more than one bundle: give it ours alone",
    "stale_revision": "runs another revision than {revision}: is the bundle that it polls current?",
    "wrong_answer": "allowed what must be denied; the log has more",
}
_SAID_OF_OTHERS = "failed ({cause}); its log has more"


def _operators(cause: str, revision: str) -> PolicyUnavailable:
    said = _SAID.get(cause, _SAID_OF_OTHERS).format(revision=revision, cause=cause)
    return PolicyUnavailable(f"the OPA server {said}", cause=cause)


def _employees(cause: str) -> PolicyUnavailable:
    what = "did not answer in time" if cause == "late" else "cannot be asked"
    return PolicyUnavailable(f"The rules {what}, so nothing was sent. Try again.", cause=cause)
