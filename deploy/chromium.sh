#!/bin/sh
# Puts Chromium in place, in which journeys look at the pages, with fonts for Chinese and Japanese.
# Only tests need it.
#
# Safe to run again. As root it installs Debian's packages; otherwise its last line is what to type.
set -eu
fonts=/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc
if command -v chromium >/dev/null 2>&1 && [ -f "$fonts" ]; then
    exit 0
fi
packages="chromium fonts-noto-cjk"
how="apt-get update && apt-get install --yes --no-install-recommends $packages"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium"
    # shellcheck disable=SC2086  # a list of packages
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends $packages
else
    echo "sekisho set-up: the tests need Chromium. On Debian and Ubuntu: sudo sh -c '$how'" >&2
    exit 1
fi
