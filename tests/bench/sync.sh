#!/bin/sh
# File sync beside rsync, Unison and lsyncd over an sshd on loopback: they as they are, devenv with the cipher that it
# asks ssh for. Variables: FILES (50000), ROUNDS (3), EDITS (60), LARGE_MB (1024), PARTS (see sync.py), TMPDIR;
# SYNC_ENDS: measure this build of tests/bench/sync_ends.rs.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../support/packages.sh
. "$here/../support/packages.sh"
need_packages git lsyncd openssh-client openssh-server python3 rsync unison
if [ -z "${SYNC_ENDS:-}" ]; then
    cargo build --quiet --release --manifest-path "$here/../../Cargo.toml" --example sync_ends
    SYNC_ENDS=$(find "$here/../../target" -path '*/release/examples/sync_ends' -type f | head -n 1)
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/devenv-bench-sync.XXXXXX")
trap 'rm -rf "$folder"' EXIT
python3 "$here/sync.py" "$SYNC_ENDS" "$folder"
