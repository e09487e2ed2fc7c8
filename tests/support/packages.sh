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
    apt_log=$(mktemp)
    # A service that a package brings (docker, docker-registry) must not be started (RUNLEVEL): the tests start their own.
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"' - $missing \
        >"$apt_log" 2>&1 || { tail -n 30 "$apt_log" >&2; rm -f "$apt_log"; return 1; }
    rm -f "$apt_log"
}
