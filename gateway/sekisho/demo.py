"""`sekisho demo`: the whole product on one machine, with a real model on the CPU.

Writes a configuration, makes one person for each role with a key, starts the installation with the
model beside it, and prints what to paste. A second start keeps the data and the keys. Nothing of it
is a stand-in: what runs here is what `sekisho serve` runs, with SmolLM2 as the backend.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from sekisho.adapters.key_desk import KeyDesk
from sekisho.adapters.registry_keys import KeyTerms
from sekisho.config import Settings, load
from sekisho.demo_model import MODEL_NAME
from sekisho.supervisor import Child, Supervisor, prepare_directories

PEOPLE = (
    ("employee", "demo-employee", "employees", ("employee",)),
    ("reviewer", "demo-reviewer", "employees", ("employee", "reviewer")),
    ("auditor", "demo-auditor", "employees", ("employee", "auditor")),
    ("author", "demo-author", "employees", ("employee", "policy_author")),
    ("activator", "demo-activator", "employees", ("employee", "policy_activator")),
    ("operator", "demo-operator", "employees", ("employee", "operator")),
)

_CONFIG = """\
# Written by `sekisho demo` at each start; copy it to begin a configuration of your own.
data_dir = "data"

[server]
port = {port}

[audit]
keys_dir = "keys"

[policy]
bundle = {bundle}

[log]
level = "warning"
format = "console"

[[backends]]
id = "smollm2"
profile = "openai"
base_url = "http://127.0.0.1:{model_port}/v1"
models = ["{model}"]
trust = "onprem"
keepalive_s = 3
"""


def run(folder: Path, bundle: Path, port: int | None = None) -> int:
    """Run the demo in `folder` with the policies in `bundle` until Ctrl-C; the exit status."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    model_port = _free_port()
    config = folder / "sekisho.toml"
    config.write_text(
        _CONFIG.format(
            port=port or 8080,
            model_port=model_port,
            model=MODEL_NAME,
            bundle=json.dumps(str(bundle.resolve())),
        )
    )
    settings = load(config)
    prepare_directories(settings)
    keys = _keys(settings)
    model = Child(
        "model",
        [sys.executable, "-m", "sekisho.demo_model", "--port", str(model_port)],
        stop_s=5.0,
        ready_line=b"ready",
        log=folder / "model.log",
    )
    return asyncio.run(_serve(settings, config, model, keys))


async def _serve(settings: Settings, config: Path, model: Child, keys: dict[str, str]) -> int:
    ready = asyncio.Event()
    running = asyncio.create_task(Supervisor(settings, config, extra=[model]).run(ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if ready.is_set():
        sys.stdout.write(welcome(settings, config, keys))
        sys.stdout.flush()
    waiting.cancel()
    return await running


def _keys(settings: Settings) -> dict[str, str]:
    """The keys of the demo's people, made at the first start and kept beside the ledger's keys."""
    kept = settings.audit.keys_dir / "demo-keys.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    desk = KeyDesk(settings)
    keys = {
        name: desk.create(principal, groups=(group,), roles=roles, terms=KeyTerms("demo"))
        for name, principal, group, roles in PEOPLE
    }
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(keys, file)
    return keys


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def welcome(settings: Settings, config: Path, keys: dict[str, str]) -> str:
    """What the demo prints: URL and keys in a fixed order, then three things to paste."""
    url = settings.public_url
    lines = [f"{'gateway URL':<14}{url}"]
    lines += [f"{name + ' key':<14}{keys[name]}" for name, *_ in PEOPLE]
    held = "Summarise our customer list in one line."
    verify = f"sekisho-audit verify {_shown(settings.ledger_dir)}"
    return "\n".join(
        [
            "",
            *lines,
            "",
            "1. Ask, with curl:",
            "",
            f"curl -sN {url}/v1/chat/completions \\",
            f"    -H 'authorization: Bearer {keys['employee']}' \\",
            "    -H 'content-type: application/json' -d '"
            + json.dumps(
                {
                    "model": MODEL_NAME,
                    "stream": True,
                    "max_tokens": 40,
                    "messages": [{"role": "user", "content": "Say hello."}],
                }
            )
            + "'",
            "",
            "2. Ask, with the unmodified openai package, something the rules hold for a person:",
            "",
            ".venv/bin/python - <<'END'",
            "from openai import OpenAI",
            f'client = OpenAI(base_url="{url}/v1",',
            f'                api_key="{keys["employee"]}")',
            "print(client.chat.completions.create(",
            f'    model="{MODEL_NAME}", max_tokens=40,',
            f'    messages=[{{"role": "user", "content": "{held}"}}],',
            ").choices[0].message.content)",
            "END",
            "",
            f"3. Approve it as the reviewer while it waits, here or at {url}/approvals with the",
            "reviewer key, then check the ledger:",
            "",
            f"export SEKISHO_URL={url} SEKISHO_KEY={keys['reviewer']}",
            ".venv/bin/sekisho hold list",
            ".venv/bin/sekisho hold approve ID --reason 'no names in it'",
            f".venv/bin/{verify}",
            "",
            f"Configuration: {_shown(config)}   Stop: Ctrl-C   A second start keeps the data.",
            "",
        ]
    )


def _shown(path: Path) -> str:
    """Relative to here if that is shorter to type."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
