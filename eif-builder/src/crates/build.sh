#!/bin/sh
# Compiles one static program inside the build root.
#   in:  /src      the workspace, reduced to what the program needs
#        /vendor   the published crates that it needs
#        /target   cargo's folder, shared by all programs
#        PACKAGE, BINS, MEMBERS, TARGET
#   out: /out/NAME for every name in BINS
set -eu

# Cargo takes a member of the workspace for unchanged when its time stamps are old, whatever its content.
# Without its fingerprints it must compile it. Published crates are known to cargo by their checksums.
for member in $MEMBERS; do
    for dir in /target/release "/target/$TARGET/release"; do
        rm -rf "$dir/.fingerprint/$member"-* "$dir/build/$member"-*
    done
done

export CARGO_HOME=/build/cargo
export CARGO_TARGET_DIR=/target
export CARGO_INCREMENTAL=0
mkdir "$CARGO_HOME"
cat >"$CARGO_HOME/config.toml" <<'END'
[source.crates-io]
replace-with = "vendor"
[source.vendor]
directory = "/vendor"
END

cd /src
cargo build --frozen --release --target "$TARGET" --package "$PACKAGE" --bins --jobs "$JOBS"
for bin in $BINS; do
    cp "/target/$TARGET/release/$bin" /out/
done
