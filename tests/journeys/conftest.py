"""One installation with the real demo model behind it, shared by all journeys."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from support.installation import Installation, free_port

MODEL = "smollm2-135m"


@pytest.fixture(scope="session")
def model_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The model server of the demo, with its real weights."""
    port = free_port()
    log = (tmp_path_factory.mktemp("model") / "model.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "sekisho.demo_model", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=log,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait(timeout=20)
    process.stdout.close()
    log.close()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> Iterator[Installation]:
    """The installation under test, with the shipped policies."""
    # Socket paths are limited to 107 bytes, so the folder's name is short.
    installation = Installation(tmp_path_factory.mktemp("j"), {MODEL: model_url}, workers=2)
    installation.start()
    yield installation
    assert installation.stop() == 0


@pytest.fixture(scope="session")
def keys(gateway: Installation) -> dict[str, str]:
    """One key for each person of the story."""
    people = {
        "employee": ("staff-7", "employee"),
        "other": ("staff-8", "employee"),
        "reviewer": ("reviewer-1", "employee,reviewer"),
        "reviewing-employee": ("staff-9", "employee,reviewer"),
    }
    return {
        name: gateway.key(principal, roles=roles) for name, (principal, roles) in people.items()
    }


@pytest.fixture
def client(gateway: Installation, keys: dict[str, str]) -> Iterator[openai.OpenAI]:
    """The unmodified OpenAI client of an employee: only the base URL differs."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=keys["employee"]) as made:
        yield made


@pytest.fixture
def folder(gateway: Installation) -> Path:
    """Where the installation keeps its things."""
    return gateway.folder
