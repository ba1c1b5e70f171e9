"""The settings as the parts use them: each value once, under the name its part gives it."""

from __future__ import annotations

import os

from sekisho.adapters.aiohttp_backend import Endpoint
from sekisho.adapters.redis_limits import LeaseTerms
from sekisho.backends.profile import load as load_profile
from sekisho.config import Settings
from sekisho.config.policy import zone_of
from sekisho.model.care import Care
from sekisho.model.catalog import Backend as CatalogBackend
from sekisho.model.catalog import Catalog
from sekisho.model.hold import HoldLimits
from sekisho.model.office import Office
from sekisho.parts import Limits as LineLimits
from sekisho.web.data_path import Limits as WebLimits

FORGET_MARGIN_S = 50.0  # beyond the grace of a session: auditd closes what a dead worker left first


def hold_limits(settings: Settings) -> HoldLimits:
    """The settings of sections [holds] and [reviews] as the line uses them."""
    holds = settings.holds
    return HoldLimits(
        total_bytes_max=holds.hold_bytes_total_max,
        answer_bytes_max=holds.answer_bytes_max,
        share_max=holds.share_max,
        share_bytes_max=holds.share_bytes_max,
        hops_max=holds.hops_max,
        hop_wait_s=holds.hop_wait_s,
        wait_total_s=holds.wait_total_s,
        ttl_s_max=holds.ttl_s_max,
        lease_s=holds.lease_s,
        execution_expiry_s=holds.execution_expiry_s,
        keep_answer_s=holds.keep_answer_s,
        retry_join_s=holds.retry_join_s,
        care=Care(**settings.reviews.model_dump(exclude={"listeners_max"})),
    )


def line_limits(settings: Settings) -> LineLimits:
    """The settings that bound one exchange."""
    return LineLimits(
        json_depth_max=settings.server.json_depth_max,
        answer_bytes_max=settings.holds.answer_bytes_max,
        silent_s_max=settings.holds.hop_wait_s,
    )


def web_limits(settings: Settings) -> WebLimits:
    """The settings that bound one worker's data path, and the language it refuses in."""
    server = settings.server
    return WebLimits(
        body_bytes_max=server.body_bytes_max,
        body_bytes_total_max=server.body_bytes_total_max,
        body_timeout_s=server.body_timeout_s,
        inflight_max=server.inflight_max,
        waiting_max=server.waiting_max,
        per_principal_max=server.per_principal_max,
        write_timeout_s=server.write_timeout_s,
        language=settings.policy.language,
    )


def office(settings: Settings) -> Office:
    """When and where people work, and how long contents are kept."""
    policy, days = settings.policy, settings.audit.retention.content_days
    return Office(
        opens_min=policy.office_opens_h * 60,
        closes_min=policy.office_closes_h * 60,
        days=frozenset(policy.office_days),
        zone=zone_of(policy.time_zone),
        content_days=None if days == "keep" else days,
        closed_on=frozenset(policy.office_closed_on),
        open_on=frozenset(policy.office_open_on),
        wait_days_max=policy.office_wait_days_max,
        escalation_percent=settings.notify.escalation_percent,
    )


def catalog(settings: Settings) -> Catalog:
    """Which backend serves which model, in the order of the configuration."""
    return Catalog(
        tuple(
            CatalogBackend(id=backend.id, models=backend.models, trust=backend.trust)
            for backend in settings.backends
        )
    )


def endpoints(settings: Settings) -> dict[str, Endpoint]:
    """How to reach each backend; keys come from the environment and stay in this process."""
    return {
        backend.id: Endpoint(
            id=backend.id,
            profile=load_profile(backend.profile),
            base_url=str(backend.base_url),
            api_key=os.environ.get(backend.api_key_env, "") if backend.api_key_env else "",
            timeout_connect_s=backend.timeout_connect_s,
            timeout_read_s=backend.timeout_read_s,
            keepalive_s=backend.keepalive_s,
            concurrency=backend.concurrency,
        )
        for backend in settings.backends
    }


def lease_terms(settings: Settings) -> LeaseTerms:
    """The settings of section [limits]."""
    limits = settings.limits
    return LeaseTerms(
        lease_share=limits.lease_share,
        lease_s=limits.lease_s,
        answer_tokens=limits.answer_tokens,
        forget_s=settings.audit.session_grace_s + FORGET_MARGIN_S,
    )
