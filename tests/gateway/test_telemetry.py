from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from sekisho import telemetry
from sekisho.adapters.api_keys import mint
from sekisho.telemetry import LINE_CHARS_MAX, Metrics

CANARY = "canary-prompt-4711"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is process-wide: put back what the runner had."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """Collectors read time, level, event and fields."""
    telemetry.configure("info", "json")
    structlog.get_logger().info("started", workers=2)
    (line,) = lines(capsys)
    assert line["event"] == "started"
    assert line["workers"] == 2
    assert line["level"] == "info"
    assert str(line["timestamp"]).endswith("Z")


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines below the configured level are not written."""
    telemetry.configure("warning", "json")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Cookie", "set-cookie", "api_key", "x-api-key", "password", "key"),
        *("pepper", "client_secret", "token", "access_token", "prompt", "messages", "body"),
        *("content", "answer", "text", "credential", "outgoing"),
    ],
)
def test_fields_named_like_secrets_or_content_are_dropped(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A careless log call does not publish what it was given, however deep it lies."""
    telemetry.configure("info", "json")
    structlog.get_logger().info("x", **{name: CANARY}, nested=[{name: CANARY}])
    assert CANARY not in capsys.readouterr().err


def test_keys_are_blotted_out_of_any_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A key inside a sentence, a list or another package's record does not appear."""
    telemetry.configure("info", "json")
    key = mint().plaintext
    structlog.get_logger().warning(f"refused {key}", path=f"/v1?k={key}", list=[key])
    logging.getLogger("elsewhere").warning("header was Bearer %s", key)
    assert key.split("-")[3] not in capsys.readouterr().err


def test_an_exception_shows_where_but_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    """Parsers quote what they could not read; the message stays out, the place is told."""
    telemetry.configure("info", "json")

    def fail() -> None:
        raise ValueError(CANARY)

    for logger in (structlog.get_logger(), logging.getLogger("elsewhere")):
        try:
            fail()
        except ValueError:
            logger.exception("it broke")
    try:
        fail()
    except ValueError as error:
        structlog.get_logger().error("it broke", cause=error)
    text = capsys.readouterr().err
    assert CANARY not in text
    first, second, third = (json.loads(line) for line in text.splitlines())
    assert first["error"] == second["error"] == "ValueError"
    assert " fail" in first["raised"][-1]
    assert third["cause"] == "ValueError"


def test_long_and_binary_values_become_their_size(capsys: pytest.CaptureFixture[str]) -> None:
    """A body that strayed into a log call under an innocent name is not written."""
    telemetry.configure("info", "json")
    structlog.get_logger().info("x", odd="y" * (LINE_CHARS_MAX + 1), raw=b"abc")
    (line,) = lines(capsys)
    assert line["odd"] == f"{LINE_CHARS_MAX + 1} characters"
    assert line["raw"] == "3 bytes"


def test_other_packages_are_heard_from_warning_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Access lines of servers and SQL of libraries stay out, also at level debug."""
    telemetry.configure("debug", "json")
    logging.getLogger("uvicorn.access").info("GET /v1/x")
    logging.getLogger("uvicorn.error").warning("slow")
    (line,) = lines(capsys)
    assert line["logger"] == "uvicorn.error"


def test_a_console_line_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The console form is no JSON and has the same guards."""
    telemetry.configure("info", "console")
    structlog.get_logger().info("started", api_key=CANARY)
    text = capsys.readouterr().err
    assert "started" in text
    assert CANARY not in text


def test_metrics_are_rendered_for_prometheus() -> None:
    """Every instrument appears under its name with what was counted."""
    metrics = Metrics()
    metrics.exchange_ended("ok")
    metrics.exchange_ended("x" * 65)
    metrics.backend_took("openai", 0.2)
    metrics.decision_took("request", 0.0004)
    metrics.append_took("ok", 0.002)
    metrics.hold_entered("pending")
    metrics.chunks_relayed(3)
    metrics.inflight.inc()
    body, content_type = metrics.render()
    text = body.decode()
    assert content_type.startswith("text/plain")
    for sample in (
        'sekisho_exchanges_total{code="ok"} 1.0',
        'sekisho_exchanges_total{code="other"} 1.0',
        'sekisho_backend_seconds_count{backend="openai"} 1.0',
        'sekisho_decision_seconds_count{stage="request"} 1.0',
        'sekisho_ledger_append_seconds_count{outcome="ok"} 1.0',
        'sekisho_holds_total{state="pending"} 1.0',
        "sekisho_chunks_total 3.0",
        "sekisho_inflight 1.0",
    ):
        assert sample in text


def test_a_test_item_moves_what_a_held_request_does() -> None:
    """Nobody needs a key to read metrics, so they must not tell it."""
    held, seeded = Metrics(), Metrics()
    held.decision_took("request", 0.0004)
    held.hold_entered("pending")
    held.exchange_ended("held")
    seeded.seeded()

    def counts(metrics: Metrics) -> list[str]:
        lines = metrics.render()[0].decode().splitlines()
        return [line for line in lines if "_created" not in line and "seconds_sum" not in line]

    assert [one for one in counts(seeded) if "bucket" not in one] == [
        one for one in counts(held) if "bucket" not in one
    ]
    assert 'sekisho_decision_seconds_count{stage="request"} 1.0' in counts(seeded)
    assert 'sekisho_holds_total{state="pending"} 1.0' in counts(seeded)


@pytest.mark.parametrize(("kept", "outcome"), [(True, "kept"), (False, "new")])
def test_a_test_item_was_kept_as_the_last_decision_was(kept: bool, outcome: str) -> None:
    """Where decisions are kept; else nothing is counted of either."""
    metrics = Metrics()
    metrics.seeded()
    assert "sekisho_memo_decisions_total{" not in metrics.render()[0].decode()
    metrics.decision_kept(not kept)
    metrics.decision_kept(kept)
    metrics.seeded()

    told = f'sekisho_memo_decisions_total{{outcome="{outcome}"}} 2.0'
    assert told in metrics.render()[0].decode()


def test_a_test_item_took_about_as_long_to_decide_as_the_last_request() -> None:
    """And never exactly: neither where it falls nor the sum tells that nobody asked the rules."""
    metrics = Metrics()
    metrics.decision_took("request", 0.02)
    sums = set()
    for number in range(20):
        metrics.seeded()
        [line] = [
            one
            for one in metrics.render()[0].decode().splitlines()
            if one.startswith("sekisho_decision_seconds_sum")
        ]
        sums.add(round(float(line.split()[1]) / (number + 2), 6))
    assert len(sums) > 2
    assert all(0.018 <= one <= 0.022 for one in sums)


def test_two_workers_are_counted_together(tmp_path: Path) -> None:
    """With a shared directory any worker answers for all."""
    script = (
        "from sekisho.telemetry import Metrics; m = Metrics(); m.exchange_ended('ok');"
        "print(m.render()[0].decode())"
    )
    environment = {**os.environ, telemetry.MULTIPROC_DIR: str(tmp_path)}
    texts = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert 'sekisho_exchanges_total{code="ok"} 2.0' in texts[1]
