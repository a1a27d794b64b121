#!/usr/bin/env bash
# Runs a command beside the two servers that the tests of slashing protection talk to, both on the loopback interface, in a
# folder of their own that is gone afterwards: moto (in place of Amazon DynamoDB) and PostgreSQL with TLS.
#   scripts/with-stores.sh cargo test --package web3signer-rs
# Sets NITRO_TEST_DYNAMODB (URL) and NITRO_TEST_POSTGRES (folder with port, ca.pem and password).
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
requirements=$top/tests/python/moto.txt
folder=$(mktemp -d "${TMPDIR:-/tmp}/nitro-stores.XXXXXX")
chmod 755 "$folder"
moto_pid=

# The server's folders belong to the user that runs it: PostgreSQL refuses root.
as_server=()
if [ "$(id -u)" -eq 0 ]; then
    as_server=(setpriv --reuid nobody --regid nogroup --clear-groups --)
fi

stop() {
    local status=$?
    trap - EXIT INT TERM
    [ -z "$moto_pid" ] || kill "$moto_pid" 2>/dev/null || true
    if [ -f "$folder/postgres/data/postmaster.pid" ]; then
        "${as_server[@]}" "$bin/pg_ctl" stop --silent --mode immediate --pgdata "$folder/postgres/data" || true
    fi
    rm -rf "$folder"
    exit "$status"
}
trap stop EXIT INT TERM

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { # wait_for PORT NAME LOG
    for _ in $(seq 300); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    say "$2 did not start:"
    tail -n 20 "$3" >&2
    exit 1
}

# moto, in a virtual environment that is named after its locked requirements and kept.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nitro-web3signer
venv=$cache/python/moto-$(sha256sum "$requirements" | cut -c1-16)
mkdir -p "$cache/python"
exec 9>"$venv.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
    say "installing moto from $(basename "$requirements")"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$requirements"
    touch "$venv/complete"
fi
exec 9>&-
moto_port=$(port)
"$venv/bin/moto_server" --host 127.0.0.1 --port "$moto_port" >"$folder/moto.log" 2>&1 &
moto_pid=$!

# PostgreSQL: Debian keeps its programs outside of PATH.
bin=$(dirname "$(command -v initdb || find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)")
if [ ! -x "$bin/initdb" ]; then
    say "PostgreSQL is missing: sudo apt-get install postgresql"
    exit 1
fi
mkdir "$folder/postgres"
pg=$folder/postgres
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=test stores" \
    -addext "basicConstraints=critical,CA:TRUE" -keyout "$folder/ca.key" -out "$pg/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=postgres" \
    -keyout "$pg/server.key" -out "$folder/server.csr" 2>/dev/null
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$folder/server.ext"
openssl x509 -req -in "$folder/server.csr" -CA "$pg/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -days 2 \
    -extfile "$folder/server.ext" -out "$pg/server.pem" 2>/dev/null
head -c 18 /dev/urandom | base64 | tr -d '\n' >"$pg/password"
pg_port=$(port)
printf '%s' "$pg_port" >"$pg/port"
[ "${#as_server[@]}" -eq 0 ] || chown -R nobody:nogroup "$pg"
"${as_server[@]}" "$bin/initdb" --pgdata "$pg/data" --username postgres --pwfile "$pg/password" \
    --auth scram-sha-256 --encoding UTF8 --no-locale --no-sync >"$folder/initdb.log" 2>&1 ||
    { tail -n 20 "$folder/initdb.log" >&2; exit 1; }
cat >"$folder/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1, 127.0.0.2'
port = $pg_port
unix_socket_directories = '$pg'
max_connections = 200
ssl = on
ssl_cert_file = '$pg/server.pem'
ssl_key_file = '$pg/server.key'
password_encryption = 'scram-sha-256'
fsync = off
CONF
cat >"$folder/pg_hba.conf" <<HBA
local   all      all scram-sha-256
hostssl all      all 127.0.0.0/8 scram-sha-256
HBA
"${as_server[@]}" tee -a "$pg/data/postgresql.conf" <"$folder/postgresql.conf" >/dev/null
"${as_server[@]}" tee "$pg/data/pg_hba.conf" <"$folder/pg_hba.conf" >/dev/null
"${as_server[@]}" "$bin/pg_ctl" start --silent --wait --pgdata "$pg/data" --log "$pg/server.log" ||
    { tail -n 20 "$pg/server.log" >&2; exit 1; }

wait_for "$moto_port" moto "$folder/moto.log"
wait_for "$pg_port" PostgreSQL "$pg/server.log"
export NITRO_TEST_DYNAMODB=http://127.0.0.1:$moto_port
export NITRO_TEST_POSTGRES=$pg
"$@"
