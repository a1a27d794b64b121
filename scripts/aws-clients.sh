#!/usr/bin/env bash
# Installs the pinned AWS CLI and boto3 into a Python environment of their own under target/ and prints its folder. Every
# file is checked against simulator/tests/clients/requirements.txt. Done once for each state of that file.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
wanted=$top/simulator/tests/clients/requirements.txt
folder=$top/target/aws-clients
stamp=$folder/installed

mkdir -p "$top/target"
exec 9>"$top/target/.aws-clients.lock"
flock 9
# The environment is whole only once the stamp is there, and fits only the interpreter that made it.
state="$(sha256sum <"$wanted") $(python3 --version)"
if [ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$state" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement "$wanted" >&2
    echo "$state" >"$stamp"
fi
echo "$folder"
