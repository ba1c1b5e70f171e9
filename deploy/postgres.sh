#!/bin/sh
# Puts PostgreSQL in place, in which tests/audit keep a search index. Only tests need it.
#
# Safe to run again. As root it installs Debian's package; otherwise its last line is what to type.
set -eu
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; then
    exit 0
fi
how="apt-get update && apt-get install --yes --no-install-recommends postgresql"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing PostgreSQL"
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends postgresql
else
    echo "sekisho set-up: the tests need PostgreSQL. On Debian and Ubuntu: sudo sh -c '$how'" >&2
    exit 1
fi
