# shellcheck shell=sh
# Debian packages a script needs: what is missing is named and installed.

# need_packages PACKAGE…: installs those that are absent, as root or through sudo.
need_packages() {
    missing=
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            printf 'These Debian packages are needed:%s\nInstall them as root, or install sudo.\n' "$missing" >&2
            return 1
        }
        as_root=sudo
    fi
    printf 'Installing with apt:%s\n' "$missing" >&2
    # A service that a package brings (docker, docker-registry) must not be started: the tests start their own.
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 $missing >&2
}
