#!/bin/sh
# Makes the packages of this folder with dpkg-deb, one for each compression. Run it here.
set -eu
tree=$(mktemp -d)
trap 'rm -r "$tree"' EXIT
umask 022
mkdir -p "$tree/DEBIAN" "$tree/usr/bin" "$tree/usr/share/doc"
cat > "$tree/DEBIAN/control" <<'END'
Package: tiny
Version: 1.0
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Description: a package with one entry of each kind
END
printf '#!/bin/sh\ntouch /maintainer-script-ran\n' > "$tree/DEBIAN/postinst"
chmod 755 "$tree/DEBIAN/postinst"
printf 'tool\n' > "$tree/usr/bin/tool"
chmod 4755 "$tree/usr/bin/tool"
ln "$tree/usr/bin/tool" "$tree/usr/bin/tool-again"
ln -s tool "$tree/usr/bin/link"
long=$(printf 'long-%.0s' $(seq 30))
printf 'long\n' > "$tree/usr/share/doc/$long"
ln -s "/usr/share/doc/$long" "$tree/usr/share/doc/to-long"
find "$tree" -exec touch -h -d @1000000000 {} +
for kind in none gzip xz zstd; do
    SOURCE_DATE_EPOCH=1000000000 dpkg-deb --root-owner-group -Z$kind --build "$tree" "tiny-$kind.deb" > /dev/null
done
