#!/usr/bin/env bash
# Compiles the fuzz targets of fuzz/ with coverage counters and runs them. No nightly compiler, no clang, no cargo-fuzz:
# counters are a pass of the stable compiler, and libfuzzer-sys compiles libFuzzer with the C++ compiler of the host.
#
#   fuzz.sh smoke          every target: all its seeds, then FUZZ_RUNS inputs (100000) or FUZZ_SECONDS (10), what ends first
#   fuzz.sh run TARGET     one target for FUZZ_SECONDS (600); what it finds stays in fuzz/corpus and fuzz/artifacts
#   fuzz.sh list           the targets
set -euo pipefail
cd "$(dirname "$0")/.."

targets=$(sed -n 's/^ *{ name = "\([a-z0-9_]*\)".*/\1/p' fuzz/Cargo.toml)
host=$(rustc -vV | sed -n 's/^host: //p')
bin=target/fuzz/$host/debug

build() { # build [TARGET]
    local flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
    flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
    flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
    # The target is named, so that build scripts and procedural macros are compiled without counters.
    RUSTFLAGS=$flags "${CARGO:-cargo}" build --quiet --locked --manifest-path fuzz/Cargo.toml \
        --target-dir target/fuzz --target "$host" ${1:+--bin "$1"}
}

# One address space of 1 GiB: an input that makes a reader reserve more than that ends the run, touched or not.
limited() { prlimit --as=$((1 << 30)) "$@"; }

smoke() { # smoke TARGET: prints one line, or the log and fails
    local seeds=fuzz/seeds/$1 log
    log=$(mktemp)
    [ -n "$(ls "$seeds")" ] || { echo "fuzz: $seeds has no seed" >&2; return 1; }
    if ! limited "$bin/$1" -runs="${FUZZ_RUNS:-100000}" -max_total_time="${FUZZ_SECONDS:-10}" -seed=1 -timeout=10 \
        -max_len=40000 -artifact_prefix="target/fuzz/$1-" "$scratch" "$seeds" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "fuzz: $1 failed; repeat with: $bin/$1 target/fuzz/$1-..." >&2
        return 1
    fi
    # Without counters the run would be blind and still pass.
    grep -q 'inline 8-bit counters' "$log" || { echo "fuzz: $1 has no coverage counters" >&2; return 1; }
    printf 'fuzz: %-22s %3d seeds, %s, %s\n' "$1" "$(find "$seeds" -type f | wc -l)" \
        "$(sed -n 's/^Done \(.*\)/\1/p' "$log")" "$(sed -n 's/.*DONE *\(cov: [0-9]*\).*/\1/p' "$log")"
    rm -f "$log"
}

case "${1:-}" in
smoke)
    build
    for target in $targets; do
        scratch=$(mktemp -d)
        smoke "$target" || { rm -rf "$scratch"; exit 1; }
        rm -rf "$scratch"
    done
    ;;
run)
    target=${2:?"which target? one of: ${targets//$'\n'/ }"}
    build "$target"
    mkdir -p "fuzz/corpus/$target" fuzz/artifacts
    limited "$bin/$target" -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -max_len=40000 \
        -artifact_prefix="fuzz/artifacts/$target-" "fuzz/corpus/$target" "fuzz/seeds/$target"
    ;;
list) echo "$targets" ;;
*) echo "usage: fuzz.sh smoke | run TARGET | list" >&2 && exit 2 ;;
esac
