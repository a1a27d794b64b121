#!/usr/bin/env bash
# A PostgreSQL server for tests, in a folder that exists and is empty.
#   scripts/postgres.sh start FOLDER PORT    makes and starts it; FOLDER then has port, password (of user postgres) and
#                                            ca.pem, and the socket for a session without TLS
#   scripts/postgres.sh stop FOLDER
# It listens on the loopback interface, takes TLS only there, and has a certificate for localhost, slashing.example.org and
# 127.0.0.1.
set -euo pipefail

folder=$2
bin=$(dirname "$(command -v initdb || find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)")
if [ ! -x "$bin/initdb" ]; then
    echo "PostgreSQL is missing: sudo apt-get install postgresql" >&2
    exit 1
fi
# The server refuses root: then it runs as nobody, who owns the folder.
as=()
if [ "$(id -u)" -eq 0 ]; then
    as=(setpriv --reuid nobody --regid nogroup --clear-groups --)
fi
if [ "$1" = stop ]; then
    [ ! -f "$folder/data/postmaster.pid" ] ||
        "${as[@]}" "$bin/pg_ctl" stop --silent --mode immediate --pgdata "$folder/data"
    exit 0
fi

key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
cd "$folder"
openssl req -x509 "${key[@]}" -days 2 -subj "/CN=test stores" -keyout ca.key -out ca.pem 2>/dev/null
openssl req "${key[@]}" -subj "/CN=postgres" -keyout server.key -out server.csr 2>/dev/null
printf 'subjectAltName=DNS:localhost,DNS:slashing.example.org,IP:127.0.0.1\n' >server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext \
    -out server.pem 2>/dev/null
head -c 18 /dev/urandom | base64 | tr -d '\n' >password
printf '%s' "$3" >port
[ "${#as[@]}" -eq 0 ] || chown -R nobody:nogroup "$folder"

run() { "${as[@]}" "$@" >"$folder.log" 2>&1 || { tail -n 20 "$folder.log" >&2; exit 1; }; }
run "$bin/initdb" --pgdata data --username postgres --pwfile password --auth scram-sha-256 --encoding UTF8 \
    --no-locale --no-sync
"${as[@]}" tee -a data/postgresql.conf >/dev/null <<CONF
listen_addresses = '127.0.0.1, 127.0.0.2'
port = $3
unix_socket_directories = '$folder'
max_connections = 200
ssl = on
ssl_cert_file = '$folder/server.pem'
ssl_key_file = '$folder/server.key'
password_encryption = 'scram-sha-256'
fsync = off
CONF
"${as[@]}" tee data/pg_hba.conf >/dev/null <<HBA
local   all all scram-sha-256
hostssl all all 127.0.0.0/8 scram-sha-256
HBA
run "$bin/pg_ctl" start --silent --wait --pgdata data --log server.log
