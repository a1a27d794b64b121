#!/bin/sh
# Builds the kernel inside the build root. No network, no clock, no host name.
#   in:  /src/usr/src/linux-source-*.tar.xz   the locked source
#        /recipe/config                       the options of this image
#   out: /out/bzImage  /out/config  /out/version
set -eu

mkdir -p /build/linux
cd /build/linux
tar --extract --no-same-owner --strip-components=1 --file "$(echo /src/usr/src/linux-source-*.tar.xz)"

# Fixed in place of the clock, the user and the machine that the kernel would record.
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
export KBUILD_BUILD_USER=build
export KBUILD_BUILD_HOST=build
export KBUILD_BUILD_VERSION=1

make --silent ARCH=x86_64 KCONFIG_ALLCONFIG=/recipe/config allnoconfig

# Kconfig drops an option silently when something that it needs is missing. Here that is an error.
lost=0
while read -r line; do
    case $line in
    '# CONFIG_'*' is not set')
        name=${line#'# '}
        name=${name%' is not set'}
        if grep --quiet "^$name=" .config; then
            echo "config: asked off, but is on: $(grep "^$name=" .config)" >&2
            lost=1
        fi
        ;;
    CONFIG_*=*)
        if ! grep --quiet --line-regexp --fixed-strings "$line" .config; then
            echo "config: asked for, but lost: $line" >&2
            lost=1
        fi
        ;;
    esac
done </recipe/config
[ "$lost" = 0 ]

make --jobs="$JOBS" ARCH=x86_64 bzImage
cp arch/x86/boot/bzImage /out/bzImage
cp .config /out/config
make --silent ARCH=x86_64 kernelrelease >/out/version
