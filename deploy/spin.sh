#!/bin/sh
# Puts spin and a C compiler in place, with which tests/models check the states of a hold. Only
# tests need them.
#
# Safe to run again. As root it installs Debian's packages; otherwise its last line is what to type.
set -eu
if command -v spin >/dev/null 2>&1 && command -v gcc >/dev/null 2>&1; then
    exit 0
fi
packages="spin gcc libc6-dev"
how="apt-get update && apt-get install --yes --no-install-recommends $packages"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing $packages"
    # shellcheck disable=SC2086 # several words
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends $packages
else
    echo "sekisho set-up: the tests need spin and gcc. On Debian and Ubuntu: sudo sh -c '$how'" >&2
    exit 1
fi
