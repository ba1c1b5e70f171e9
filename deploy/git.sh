#!/bin/sh
# Puts git and OpenSSH's ssh-keygen in place, with which `sekisho policy draft --commit` reads and
# verifies signed commits. The gateway does without.
#
# Safe to run again. As root it installs Debian's packages; otherwise its last line is what to type.
set -eu
if command -v git >/dev/null 2>&1 && command -v ssh-keygen >/dev/null 2>&1; then
    exit 0
fi
how="apt-get update && apt-get install --yes --no-install-recommends git openssh-client"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing git and openssh-client"
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends git openssh-client
else
    echo "sekisho set-up: the tests need git and ssh-keygen. On Debian and Ubuntu: sudo sh -c '$how'" >&2
    exit 1
fi
