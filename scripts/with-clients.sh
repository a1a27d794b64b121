#!/usr/bin/env bash
# Runs a command with the programs of others that the tests of web3signer-rs set on its server: Lodestar's client of an external
# signer (npm), schemathesis and py_ecc (PyPI). Both are locked by hash, and kept in folders named after their locks.
#   scripts/with-stores.sh scripts/with-clients.sh cargo test --package web3signer-rs
# Sets NITRO_TEST_PYTHON (a Python that has them) and NITRO_TEST_NODE (a folder with node_modules).
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nitro-web3signer

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
digest() { cat "$@" | sha256sum | cut -c1-16; }

for tool in node npm; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        say "$tool is missing"
        exit 1
    fi
done

venv=$("$top/scripts/python-tool.sh" clients)
node=$cache/node/clients-$(digest "$top/tests/node/package.json" "$top/tests/node/package-lock.json")
mkdir -p "$cache/node"
exec 9>"$node.lock"
flock 9
if [ ! -e "$node/complete" ]; then
    say "installing from package-lock.json"
    rm -rf "$node"
    mkdir -p "$node"
    cp "$top/tests/node/package.json" "$top/tests/node/package-lock.json" "$node"
    (cd "$node" && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error >&2)
    touch "$node/complete"
fi
exec 9>&-
export NITRO_TEST_PYTHON=$venv/bin/python
export NITRO_TEST_NODE=$node
exec "$@"
