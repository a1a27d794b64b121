#!/usr/bin/env bash
# Runs a command beside the two servers that the tests of slashing protection talk to, both on the loopback interface and
# gone afterwards: moto (in place of Amazon DynamoDB) and PostgreSQL with TLS.
#   scripts/with-stores.sh cargo test --package web3signer-rs
# Sets NITRO_TEST_DYNAMODB (URL) and NITRO_TEST_POSTGRES (folder; see postgres.sh).
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/nitro-stores.XXXXXX")
chmod 755 "$folder"
moto_pid=

stop() {
    local status=$?
    trap - EXIT INT TERM
    [ -z "$moto_pid" ] || kill "$moto_pid" 2>/dev/null || true
    "$scripts/postgres.sh" stop "$folder/postgres" || true
    rm -rf "$folder"
    exit "$status"
}
trap stop EXIT INT TERM

port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

venv=$("$scripts/python-tool.sh" moto)
moto_port=$(port)
"$venv/bin/moto_server" --host 127.0.0.1 --port "$moto_port" >"$folder/moto.log" 2>&1 &
moto_pid=$!

mkdir "$folder/postgres"
"$scripts/postgres.sh" start "$folder/postgres" "$(port)"

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$moto_port") 2>/dev/null; }
for _ in $(seq 300); do
    answers && break
    sleep 0.1
done
answers || { echo "moto did not start:" >&2; tail -n 20 "$folder/moto.log" >&2; exit 1; }

export NITRO_TEST_DYNAMODB=http://127.0.0.1:$moto_port
export NITRO_TEST_POSTGRES=$folder/postgres
"$@"
