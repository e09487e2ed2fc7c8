#!/bin/sh
# File sync into a VM that loses its power (QEMU is killed) while both sides are written to, again and again: afterwards both
# sides are equal, no file is torn, and nothing that had arrived is older than before. Variables: ROUNDS (20); SEED (1);
# DEVENV (builds one); DEVENV_GUEST (makes one). Needs root.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
# shellcheck source=../support/packages.sh
. "$here/../support/packages.sh"
# shellcheck source=../support/images.sh
. "$here/../support/images.sh"
need_packages busybox-static e2fsprogs python3 qemu-system-x86 umoci xz-utils zstd
folder=$(mktemp -d /tmp/devenv-bench-power.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM HUP PIPE
if [ -z "${DEVENV:-}" ]; then
    "$checkout/install.sh" --prefix "$folder" >/dev/null
    DEVENV=$folder/bin/devenv
fi
if [ -z "${DEVENV_GUEST:-}" ]; then
    DEVENV_GUEST=$folder/guest.tar.zst
    "$checkout/.ci/guest" "$(uname -m)" "$DEVENV_GUEST"
fi
export DEVENV DEVENV_GUEST
make_busybox "$folder"
python3 "$here/sync_power.py" "$folder"
