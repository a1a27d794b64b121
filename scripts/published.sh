#!/usr/bin/env bash
# The PCRs that this source claims, in reproducible/published/IMAGE.pcrs.json, beside those that it gives.
#   published.sh check IMAGE [OUT]    compares with OUT/IMAGE.pcrs.json, which `make eif` made; ends with 3 when one moved
#   published.sh write IMAGE [OUT]    publishes what was built
# A commit that moves a PCR changes the published file in the same commit: its reader sees that every key policy moves.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
if [ $# -lt 2 ] || [ $# -gt 3 ]; then usage; fi
action=$1 image=$2 built=${3:-$top/out}/$2.pcrs.json
published=$top/reproducible/published/$image.pcrs.json
case $image in */* | .* | '') usage ;; esac
if [ ! -f "$built" ]; then
    echo "published.sh: $built is not there: run \`make eif IMAGE=$image\`" >&2
    exit 1
fi

# One line for each value, `NAME VALUE`; the files are those that eif-builder writes, one value a line.
values() { sed -n 's/^ *"\([A-Za-z0-9]*\)": "\{0,1\}\([^",[{]*\)"\{0,1\},\{0,1\}$/\1 \2/p' "$1"; }
what_it_is() {
    case $1 in
        PCR0) echo "the whole image" ;;
        PCR1) echo "the kernel, its command line or the boot ramdisk" ;;
        PCR2) echo "the programs, files or settings of the app ramdisk" ;;
        PCR8) echo "the certificate that signs the image" ;;
        EifSha256) echo "the file, of which header and metadata are in no PCR" ;;
        *) echo "what the file says beside the PCRs" ;;
    esac
}

case $action in
    write)
        mkdir -p "$(dirname "$published")"
        cp "$built" "$published"
        echo "reproducible/published/$image.pcrs.json is what was built"
        ;;
    check)
        if [ ! -f "$published" ]; then
            echo "published.sh: reproducible/published/$image.pcrs.json is not there: run \`make publish IMAGE=$image\` and commit it" >&2
            exit 3
        fi
        if cmp -s "$published" "$built"; then
            echo "$image: built as published"
            exit 0
        fi
        {
            echo "$image: this source does not give what reproducible/published/$image.pcrs.json says."
            for name in $({ values "$published"; values "$built"; } | cut -d ' ' -f 1 | LC_ALL=C sort -u); do
                was=$(values "$published" | sed -n "s/^$name //p") is=$(values "$built" | sed -n "s/^$name //p")
                [ "$was" = "$is" ] || printf '  %s moved: %s\n    published  %s\n    built      %s\n' \
                    "$name" "$(what_it_is "$name")" "${was:-absent}" "${is:-absent}"
            done
            echo "Meant: run \`make publish IMAGE=$image\`, commit the file with the change that moved it, and say so in the title ([pcr])."
            echo "Not meant: \`eif-builder diff\` of the old and the new image says which file moved it."
        } >&2
        exit 3
        ;;
    *) usage ;;
esac
