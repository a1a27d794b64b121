#!/usr/bin/env bash
# What the host must have. `host-deps.sh build`: a C compiler for a few crates of the host tools. `host-deps.sh test`: also
# what the tests call or compile against. `host-deps.sh bench`: also what the benchmarks call. Nothing of it reaches a
# measured byte. As root on Debian or Ubuntu it installs what is missing, elsewhere it says what to install. Quiet when
# nothing is missing.
set -euo pipefail

missing=()
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
need cc gcc
if [ "${1:-build}" != build ]; then
    need c++ g++
    need cpio cpio
    need git git
    need mandoc mandoc
    need openssl openssl
    need pdftotext poppler-utils
    need pkg-config pkg-config
    need prlimit util-linux
    need python3 python3
    need shellcheck shellcheck
    need node nodejs
    need npm npm
    command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || need chromium-browser chromium
    need zsh zsh
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
    command -v initdb >/dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    pkg-config --exists openssl 2>/dev/null || missing+=(libssl-dev)
fi
if [ "${1:-build}" = bench ]; then
    need socat socat
    compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || missing+=(libfaketime)
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is missing: install Rust 1.95 or newer (rustup), then run make again" >&2
    exit 1
fi
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing: ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update >&2
    apt-get -qq install --no-install-recommends --yes "${missing[@]}" >&2
    exit 0
fi
echo "this machine lacks: ${missing[*]}" >&2
echo "on Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
exit 1
