#!/bin/sh
# Builds QEMU's `nitro-enclave` machine inside the emulator's root and packs it so that it runs on any host:
#   lib/ld-linux-x86-64.so.2 --library-path lib bin/qemu-system-x86_64 -L share ...
#   in:  /source.tar.xz                             QEMU's source as Debian publishes it
#        /recipe/nsm-late-notification.patch        mends a race in its NSM device
#   out: /out/bin  /out/lib  /out/share
set -eu

mkdir qemu objects
tar --extract --no-same-owner --strip-components=1 --directory qemu --file /source.tar.xz
patch --directory=qemu --strip=1 --input=/recipe/nsm-late-notification.patch

# The only machine that is compiled in, with the devices that it needs.
echo 'CONFIG_NITRO_ENCLAVE=y' >qemu/configs/devices/x86_64-softmmu/nitro.mak

cd objects
../qemu/configure \
    --target-list=x86_64-softmmu \
    --without-default-features --without-default-devices --with-devices-x86_64=nitro \
    --enable-system --enable-tcg --enable-kvm --enable-vhost-user \
    --enable-libcbor --enable-gnutls --enable-fdt=system \
    --disable-tools --disable-docs --disable-install-blobs --disable-download
ninja -j "$JOBS" qemu-system-x86_64

mkdir /out/bin /out/lib /out/share
strip --strip-all -o /out/bin/qemu-system-x86_64 qemu-system-x86_64

# The loader says which libraries it maps; they travel along, with the loader itself.
loader=/lib64/ld-linux-x86-64.so.2
"$loader" --list ./qemu-system-x86_64 >libraries
awk '$2 == "=>" { print $3 }' libraries | while read -r library; do
    cp --dereference "$library" /out/lib/
done
cp --dereference "$loader" /out/lib/

# Firmware of the machine, and the option ROMs that hand the kernel over.
cp /usr/share/seabios/bios-microvm.bin /out/share/
for rom in qboot.rom linuxboot.bin linuxboot_dma.bin pvh.bin; do
    cp "/usr/share/qemu/$rom" /out/share/
done
