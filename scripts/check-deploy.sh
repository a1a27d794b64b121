#!/usr/bin/env bash
# Checks what deploy/ holds: the templates with cfn-lint, the units with systemd-analyze. Nothing is deployed.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

venv=$("$top/scripts/python-tool.sh" cfn-lint)
"$venv/bin/cfn-lint" --non-zero-exit-code informational "$top"/deploy/cloudformation/*.yaml

# The units name a program and an account that this machine need not have.
if ! command -v systemd-analyze >/dev/null 2>&1; then
    say "systemd-analyze is not here: the units were not checked"
    exit 0
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/nitro-units.XXXXXX")
trap 'rm -rf "$folder"' EXIT
for unit in "$top"/deploy/systemd/*.service "$top"/deploy/systemd/*.target; do
    sed 's,^ExecStart=/usr/local/bin/parent,ExecStart=/bin/true,' "$unit" >"$folder/$(basename "$unit")"
done
printf '[Unit]\nDescription=stand-in\n[Service]\nExecStart=/bin/true\n' >"$folder/nitro-enclaves-allocator.service"
report=$(SYSTEMD_UNIT_PATH="$folder:" systemd-analyze verify --man=no "$folder"/nitro-web3signer* 2>&1) || { say "$report"; exit 1; }
if [ -n "$report" ]; then
    say "$report"
    exit 1
fi
for unit in "$folder"/nitro-web3signer-*.service; do
    SYSTEMD_UNIT_PATH="$folder:" systemd-analyze security --offline=true --threshold=30 --no-pager "$unit" >"$folder/report" ||
        { tail -n 40 "$folder/report" >&2; exit 1; }
    tail -n 1 "$folder/report"
done
