#!/usr/bin/env bash
# What a pull request does to an image's PCRs, as Markdown for its comment and the job's summary.
#   pcr-comment.sh IMAGE BASE BUILT   BASE: the published file before the change, maybe absent; BUILT: what the change gives
# All it prints of the files is checked first: PCRs are 96 hexadecimal digits, the EIF's SHA-256 64.
set -euo pipefail

image=$1 base=$2 built=$3
case $image in *[!A-Za-z0-9_-]* | '') echo "pcr-comment.sh: $image is no image's name" >&2; exit 2 ;; esac
value() { # value FILE NAME
    local found=absent
    if [ -f "$1" ]; then
        found=$(sed -n "s/^ *\"$2\": \"\([0-9a-f]*\)\",\{0,1\}$/\1/p" "$1" | head -n 1)
    fi
    case ${#found} in 64 | 96) echo "$found" ;; *) echo absent ;; esac
}

echo "### \`$image\`: PCRs"
echo
moved=()
echo "| | before | with this change |"
echo "|---|---|---|"
for name in PCR0 PCR1 PCR2 PCR8 EifSha256; do
    was=$(value "$base" "$name") is=$(value "$built" "$name")
    [ "$was$is" != absentabsent ] || continue
    if [ "$was" = "$is" ]; then
        echo "| $name | \`${was:0:16}…\` | unchanged |"
    else
        moved+=("$name")
        echo "| **$name** | \`$was\` | \`$is\` |"
    fi
done
echo
if [ "${#moved[@]}" -eq 0 ]; then
    echo "Nothing moved: key policies that admit the image before this change admit it after."
else
    echo "**${moved[*]} moved.** Key policies that demand the old values refuse the new image: a rollout needs both in the policy first."
fi
