#!/bin/sh
# Compiles constraints.txt from the two pyproject.toml files, and deploy/clients.txt from the group
# `clients`: what it needs beside constraints.txt. For maintainers, after a change of
# dependencies; needs uv. Everyone else only installs from the result, with pip.
#
# The result holds names, versions and hashes and nothing about where packages were fetched from.
set -eu
cd "$(dirname "$0")/.."
python="${PYTHON:-.venv/bin/python}"

wanted() {
    "$python" - <<'PY'
import pathlib
import tomllib

seen = set()
for path in ("pyproject.toml", "audit/pyproject.toml"):
    file = pathlib.Path(path)
    if not file.exists():
        continue
    project = tomllib.loads(file.read_text())["project"]
    seen.update(project.get("dependencies", []))
    for extra in project.get("optional-dependencies", {}).values():
        seen.update(extra)
for line in sorted(seen):
    if not line.startswith("sekisho"):
        print(line)
PY
}

compile() {
    "$python" -m uv pip compile --quiet \
        --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@"
}

wanted | compile - --output-file constraints.txt "$@"

# pywin32 is for another system.
there=$(grep -oE '^[a-z0-9][a-z0-9._-]*' constraints.txt | sed 's/^/--no-emit-package /')
# shellcheck disable=SC2086  # a list of options
compile --group clients --constraints constraints.txt --no-emit-package pywin32 $there \
    --output-file deploy/clients.txt
