#!/bin/sh
# Compiles constraints.txt from the two pyproject.toml files. For maintainers, after a change of
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

wanted | "$python" -m uv pip compile - --quiet \
    --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links \
    --output-file constraints.txt "$@"
