#!/bin/sh
# Puts strace in place, with which tests/audit makes single system calls fail. Only tests need it.
#
# Safe to run again. As root it installs Debian's package; otherwise its last line is what to type.
set -eu
if command -v strace >/dev/null 2>&1; then
    exit 0
fi
how="apt-get update && apt-get install --yes --no-install-recommends strace"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing strace"
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends strace
else
    echo "sekisho set-up: the tests need strace. On Debian and Ubuntu: sudo sh -c '$how'" >&2
    exit 1
fi
