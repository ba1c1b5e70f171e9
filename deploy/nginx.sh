#!/bin/sh
# Puts nginx in place, behind which tests/journeys run clients. The gateway does without.
#
# Safe to run again. As root it installs Debian's package; otherwise its last line is what to type.
set -eu
if command -v nginx >/dev/null 2>&1; then
    exit 0
fi
how="apt-get update && apt-get install --yes --no-install-recommends nginx-light"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing nginx"
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends nginx-light
else
    echo "sekisho set-up: the tests need nginx. On Debian and Ubuntu: sudo sh -c '$how'" >&2
    exit 1
fi
