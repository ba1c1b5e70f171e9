#!/bin/sh
# Puts the packages of tests/node in place: servers written for Node that the tests run for real.
#
# Needs .venv (node and npm are in it). Safe to run again and from several tests at once: a second
# run only compares a stamp. Exactly what the lock file names is installed, checked against its
# hashes, and no package runs a script while it is installed.
set -eu
cd "$(dirname "$0")/../tests/node"
bin=../../.venv/bin
modules=node_modules
stamp=$modules/.sekisho-stamp
log=../../.venv/node-install.log

wanted=$(sha256sum package.json package-lock.json)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
exec 9>../../.venv/node-install.lock
flock 9
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
if ! "$bin/npm" ci --ignore-scripts --no-audit --no-fund --no-update-notifier >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "sekisho set-up: npm failed, the lines above say why; run deploy/node.sh again." >&2
    exit 1
fi
echo "$wanted" >"$stamp"
