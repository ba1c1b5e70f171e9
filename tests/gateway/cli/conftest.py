from __future__ import annotations

from pathlib import Path

import pytest

CONFIG = """
[[backends]]
id = "local"
base_url = "http://127.0.0.1:9/v1"
models = ["*"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration in a folder of its own; nothing runs there."""
    path = tmp_path / "sekisho.toml"
    path.write_text(CONFIG)
    return path
