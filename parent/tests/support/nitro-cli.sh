#!/bin/sh
# A stand-in for nitro-cli: keeps one enclave, as a file beside itself. Its answers have the form of the real one's.
set -eu
dir=$(dirname "$0")
echo "$*" >>"$dir/calls"
verb=$1
case "$verb" in
run-enclave)
    if [ -e "$dir/fail" ]; then
        rm "$dir/fail"
        echo "[ E36 ] Enclave boot failure. Such error appears when attempting to receive the ready signal." >&2
        exit 36
    fi
    echo "Start allocating memory..." >&2
    n=$(cat "$dir/count" 2>/dev/null || echo 0)
    n=$((n + 1))
    echo "$n" >"$dir/count"
    echo "i-0-enc$n" >"$dir/running"
    printf '{"EnclaveName":"native","EnclaveID":"i-0-enc%s","ProcessID":7,"EnclaveCID":16,"NumberOfCPUs":2,"CPUIDs":[1,3],"MemoryMiB":512}\n' "$n"
    ;;
describe-enclaves)
    other='{"EnclaveName":"other","EnclaveID":"i-0-encX","ProcessID":8,"EnclaveCID":17,"NumberOfCPUs":2,"CPUIDs":[5,7],"MemoryMiB":64,"State":"RUNNING","Flags":"NONE"}'
    if [ -e "$dir/running" ]; then
        printf '[%s,{"EnclaveName":"native","EnclaveID":"%s","ProcessID":7,"EnclaveCID":16,"NumberOfCPUs":2,"CPUIDs":[1,3],"MemoryMiB":512,"State":"RUNNING","Flags":"NONE"}]\n' "$other" "$(cat "$dir/running")"
    else
        printf '[%s]\n' "$other"
    fi
    ;;
terminate-enclave)
    rm -f "$dir/running"
    printf '{"EnclaveName":"native","EnclaveID":"%s","Terminated":true}\n' "$3"
    ;;
esac
