#!/bin/sh
# Lists the crates that are compiled into a program, as cargo resolves them for its target and features.
#   in:  /src      the workspace, reduced to what the program needs
#        /vendor   the published crates that it needs
#        PACKAGE, TARGET
#   out: /out/crates   one line each: name vVERSION|licence|features, sorted
set -eu

export CARGO_HOME=/build/cargo
mkdir "$CARGO_HOME"
cat >"$CARGO_HOME/config.toml" <<'END'
[source.crates-io]
replace-with = "vendor"
[source.vendor]
directory = "/vendor"
END

cd /src
# Neither build scripts nor procedural macros: they run in the build root and are not in the program.
cargo tree --frozen --target "$TARGET" --package "$PACKAGE" --edges normal,no-proc-macro \
    --prefix none --no-dedupe --format '{p}|{l}|{f}' >/build/tree
sort -u /build/tree >/out/crates
