#!/usr/bin/env bash
# Another host distribution, for the reproducibility matrix: compiles eif-builder in an extracted Debian root with that root's own compilers
# and C library, and builds the native image with it there. No network, nothing of this host but what is named, no root rights.
#   other-host.sh ROOT PLACE CARGO_HOME IMAGE [TOOL]
# PLACE has tree, store and out; CARGO_HOME the crates that cargo fetched on this host. With TOOL, that program is run there in place of one
# that was compiled there.
set -euo pipefail

root=$1 place=$2 cargo=$3 image=$4 tool=${5:-}
if [ -z "${NITRO_INSIDE:-}" ]; then
    export NITRO_INSIDE=1
    exec unshare --user --map-root-user --mount --pid --net --fork --kill-child bash "$0" "$@"
fi
bind() { # bind FROM TO
    mkdir -p "$2"
    mount --bind "$1" "$2"
}
mount --bind "$root" "$root"
mkdir -p "$root"/{proc,dev,tmp,old,build/cargo}
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
for device in null zero full random urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
for name in tree store out; do bind "$place/$name" "$root/build/$name"; done
if [ -n "$tool" ]; then
    touch "$root/build/eif-builder"
    mount --bind "$tool" "$root/build/eif-builder"
fi
bind "$cargo/registry" "$root/build/cargo/registry"
[ ! -f "$cargo/config.toml" ] || cp "$cargo/config.toml" "$root/build/cargo/config.toml"
# The root has no umount; this host's comes along with its libraries and leaves with the tmpfs.
umount=$(command -v umount)
mkdir "$root/tmp/carried"
ldd "$umount" | sed -n 's,^[^/]*\(/[^ ]*\) .*,\1,p' | xargs -I{} cp -L {} "$root/tmp/carried"
cp -L "$umount" "$root/tmp/carried/umount"
loader=$(basename "$(ldd "$umount" | sed -n 's,^[^/]*\(/.*/ld-[^ ]*\) .*,\1,p')")
cd "$root"
pivot_root . old
cd /
"/tmp/carried/$loader" --library-path /tmp/carried /tmp/carried/umount -l /old
# shellcheck disable=SC2016 # expanded by the inner shell
exec env -i PATH=/usr/bin:/usr/sbin HOME=/tmp CARGO_HOME=/build/cargo IMAGE="$image" bash -euc '
    . /etc/os-release || true
    echo "host: ${PRETTY_NAME:-unnamed}, $(rustc --version), $(/lib64/ld-linux-x86-64.so.2 --version | head -n 1)"
    tool=/build/eif-builder
    if [ ! -e "$tool" ]; then
        cd /build/tree
        cargo build --quiet --offline --locked --package eif-builder --profile tool --config profile.tool.opt-level=1 --target-dir /tmp/target
        tool=/tmp/target/tool/eif-builder
        cd /
    fi
    "$tool" build "/build/tree/rootfs/$IMAGE/image.toml" --out /build/out --store /build/store
'
