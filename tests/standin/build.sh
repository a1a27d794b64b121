#!/bin/sh
# Compiles and packs the stand-in inside the build root.
#   in:  /src      the sources
#        /java     the packages of the image rootfs/web3signer: its Java compiles too
#   out: /out/web3signer-standin.tar.gz
set -eu

# A Java that runs here: without the links that leave its folder.
cp -a /java/usr/lib/jvm/java-21-openjdk-amd64 java
rm -r java/lib/jvm.cfg java/conf
cp -L /java/etc/java-21-openjdk/jvm-amd64.cfg java/lib/jvm.cfg
cp -a /java/etc/java-21-openjdk java/conf
# One thread more or less must not show; the archive of classes may be mapped elsewhere.
run() { java/bin/java -XX:+UseSerialGC -Xshare:auto -XX:-UsePerfData -m "$@"; }

mkdir classes native
# shellcheck disable=SC2046 # no name here has a space
run jdk.compiler/com.sun.tools.javac.Main -proc:none -Xlint:all -Werror -g:none -d classes \
    $(find /src -name '*.java' | sort)
mkdir -p native/supranational/blst/Linux/amd64
gcc -shared -fPIC -O1 -s -Wl,--build-id=none -o native/supranational/blst/Linux/amd64/libblst.so /src/blst.c

top=web3signer-standin
mkdir -p "$top/bin" "$top/lib"
# Fixed times and order; nothing about the machine.
jar() {
    file=$1 dir=$2
    shift 2
    (cd "$dir" && find "$@" -type f | sort) >list
    # shellcheck disable=SC2046 # the same
    (cd "$dir" && "$OLDPWD/java/bin/java" -m jdk.jartool/sun.tools.jar.Main --create --no-manifest --no-compress \
        --date=2000-01-01T00:00:00Z --file "$OLDPWD/$top/lib/$file" $(cat "$OLDPWD/list"))
}
jar web3signer-standin.jar classes tech
cp -a classes/supranational/blst/* native/supranational/blst/
jar jblst-standin.jar native supranational
printf '%s\n' '#!/bin/sh' '# The stand-in of the tests has no start script: its image has no shell either.' 'exit 1' >"$top/bin/web3signer"
printf '%s\n' 'A stand-in for the tests of this project. Not Web3Signer.' >"$top/LICENSE"
find "$top" -type d -exec chmod 755 {} +
find "$top" -type f -exec chmod 644 {} +
chmod 755 "$top/bin/web3signer"
tar --create --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime=@1 "$top" | gzip -9 -n >/out/web3signer-standin.tar.gz
