#!/usr/bin/env bash
# Installs a Python tool that tests need from its locked requirements, once, and prints its folder.
#   scripts/python-tool.sh moto        reads tests/python/moto.txt
# The folder is named after the requirements and the interpreter that it fits, and kept in the store's cache; nothing else is
# touched. Only wheels are taken: nothing is run to install them.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
requirements=$top/tests/python/$1.txt
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nitro-web3signer/python
venv=$cache/$1-$({ cat "$requirements"; python3 --version; } | sha256sum | cut -c1-16)

mkdir -p "$cache"
exec 9>"$venv.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
    echo "installing $1 from $(basename "$requirements")" >&2
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
        --requirement "$requirements" >&2
    touch "$venv/complete"
fi
printf '%s\n' "$venv"
