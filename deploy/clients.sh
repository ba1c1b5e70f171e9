#!/bin/sh
# Puts the packages of deploy/clients.txt into .venv/clients: clients for Python that the tests run
# for real, beside what .venv has. They are apart because one of them (langsmith) would put itself
# into every run of pytest. Who wants them sets PYTHONPATH=.venv/clients.
#
# Needs .venv. Safe to run again and from several tests at once: a second run only compares a stamp.
# Every file that is fetched is checked against a hash.
set -eu
cd "$(dirname "$0")/.."
place=.venv/clients
stamp=$place/.sekisho-stamp
log=.venv/clients-install.log

wanted=$(.venv/bin/python --version && sha256sum deploy/clients.txt)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
exec 9>.venv/clients-install.lock
flock 9
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_USER || true
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# As in deploy/env.sh: the pip inside of .venv, or that of the interpreter it was made from.
pip() {
    if .venv/bin/python -c 'import pip' 2>/dev/null; then
        .venv/bin/python -m pip "$@"
    else
        "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m pip \
            --python .venv/bin/python "$@"
    fi
}

rm -rf "$place"
if ! pip install --progress-bar off --require-hashes --no-deps --target "$place" \
    -r deploy/clients.txt >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "sekisho set-up: pip failed, the lines above say why; run deploy/clients.sh again." >&2
    exit 1
fi
echo "$wanted" >"$stamp"
