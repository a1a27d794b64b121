#!/usr/bin/env bash
# Writes the man pages and the scripts for bash, fish and zsh of programs into a folder, where those look for them below a prefix.
#   scripts/manual.sh out/share target/tool/parent ...        then: cp -r out/share ~/.local, or /usr/local
set -euo pipefail

share=$1
shift
bash=$share/bash-completion/completions fish=$share/fish/vendor_completions.d zsh=$share/zsh/site-functions
mkdir -p "$bash" "$fish" "$zsh"
for program in "$@"; do
    name=$(basename "$program")
    "$program" man "$share/man/man1" >/dev/null
    "$program" completions bash >"$bash/$name"
    "$program" completions fish >"$fish/$name.fish"
    "$program" completions zsh >"$zsh/_$name"
done
echo "$share: man pages and completions of $# programs; cp -r $share ~/.local"
