#!/usr/bin/env bash
# Runs a command with the variables that tests of real enclaves read: where the emulator, the kernel, eif-builder, the
# built image, the clients of AWS and the validators of its papers are. Builds or installs what is not there yet.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
eif_builder=$top/target/tool/eif-builder
NITRO_EMULATOR_DIR=$("$eif_builder" recipe emulator --tree "$top")
NITRO_KERNEL_DIR=$("$eif_builder" recipe kernel --tree "$top")
export NITRO_EMULATOR_DIR NITRO_KERNEL_DIR
export NITRO_TEST_KERNEL=$NITRO_KERNEL_DIR/bzImage
export NITRO_EIF_BUILDER=$eif_builder
export NITRO_SIMULATOR=$top/target/tool/simulator
export NITRO_OUT_DIR=$top/out
# Made by the same call of cargo that makes the tests.
export NITRO_PARENT=${CARGO_TARGET_DIR:-$top/target}/debug/parent
export NITRO_OPERATOR=${CARGO_TARGET_DIR:-$top/target}/debug/nitro-operator
NITRO_AWS_CLIENTS=$("$top/scripts/python-tool.sh" aws-clients)
export NITRO_AWS_CLIENTS
NITRO_PAPERS_PYTHON=$("$top/scripts/python-tool.sh" papers)/bin/python
export NITRO_PAPERS_PYTHON
exec "$@"
