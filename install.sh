#!/bin/sh
# Installs devenv for the person who runs it.
#
#   ./install.sh                     in a checkout: builds it; beside a release archive's files: installs them
#   ./install.sh --from FILE         installs from a release archive (.tar.gz), checked against FILE.sha256 if that is there
#   ./install.sh --check             only looks whether this computer can run devenv; exit 1 when it cannot
#   ./install.sh --uninstall         removes the program; state stays, and is said where
#   ./install.sh --uninstall --purge removes the state (images, boxes, volumes) too, after asking
#
#   --prefix DIR     install into DIR/bin (default: ~/.local)
#   --profile NAME   cargo profile to build with (default: release)
#   --yes            answer yes to questions; without a terminal questions are answered no
#   --no-packages    install no Debian package, only say what is missing
#   --build-tools    install what a build needs and print the folder that cargo is in; nothing else
#
# The variable DEVENV_ARCHIVE is the same as --from. What is missing is installed with apt where there is apt, as root
# or through sudo, after saying what: uidmap (sub-uids), and for a build gcc, libc6-dev, ca-certificates and Rust.
set -eu

minimum_rust=1.95
minimum_kernel=5.11
minimum_macos=13

say() { printf '%s\n' "$*" >&2; }
fail() { say "install.sh: $*"; exit 1; }

usage() {
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" | sed '$d'
}

system=$(uname -s)
action=install
archive=${DEVENV_ARCHIVE:-}
prefix=
profile=release
yes=
purge=
packages=yes
while [ $# -gt 0 ]; do
    case $1 in
        --from) [ $# -gt 1 ] || fail "--from needs a file"; archive=$2; shift ;;
        --from=*) archive=${1#*=} ;;
        --prefix) [ $# -gt 1 ] || fail "--prefix needs a folder"; prefix=$2; shift ;;
        --prefix=*) prefix=${1#*=} ;;
        --profile) [ $# -gt 1 ] || fail "--profile needs a name"; profile=$2; shift ;;
        --check) action=check ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        --build-tools) action=build_tools ;;
        --no-packages) packages= ;;
        -y | --yes) yes=yes ;;
        -h | --help) usage; exit 0 ;;
        *) say "install.sh: unknown option $1"; usage >&2; exit 2 ;;
    esac
    shift
done

# A relative DIR means relative to where the person stands.
if [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || fail "HOME is not set: say where to with --prefix"
    prefix=$HOME/.local
fi
: "${HOME:=/nonexistent}"
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
case $archive in '' | /*) ;; *) archive=$PWD/$archive ;; esac
bin=$prefix/bin
source=$(cd "$(dirname "$0")" && pwd)

# ask QUESTION: yes or no; no when nobody can be asked.
ask() {
    [ -z "$yes" ] || return 0
    [ -t 0 ] && [ -t 2 ] || return 1
    printf '%s [y/N] ' "$1" >&2
    read -r answer || return 1
    case $answer in y | Y | yes | Yes) return 0 ;; *) return 1 ;; esac
}

# as_root COMMAND…: fails quietly when this person cannot become root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
    else
        return 1
    fi
}

# install_packages WHY PACKAGE…: 1 when they are not there afterwards.
install_packages() {
    why=$1
    shift
    command -v apt-get >/dev/null 2>&1 || return 1
    [ -n "$packages" ] || return 1
    missing=
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1 || return 1
    say "Installing with apt, $why:$missing"
    log=$(mktemp)
    installed=yes
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"' - $missing >"$log" 2>&1 ||
        { installed=; tail -n 20 "$log" >&2; }
    rm -f "$log"
    [ -n "$installed" ]
}

# at_least WANTED GOT: compares dotted version numbers.
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n | head -n1)" = "$1" ]
}

# Whether the cargo in folder $1 has a compiler that is new enough. A rustup proxy without a toolchain is none.
rust_in() {
    [ -x "$1/cargo" ] && [ -x "$1/rustc" ] || return 1
    version=$("$1/rustc" --version 2>/dev/null | cut -d' ' -f2 | cut -d. -f1,2) || return 1
    [ -n "$version" ] && "$1/cargo" --version >/dev/null 2>&1 && at_least "$minimum_rust" "$version"
}

# Sets $cargo_folder to a folder with cargo and a new enough rustc, installing them where that is possible.
find_rust() {
    found=$(command -v cargo 2>/dev/null || true)
    for cargo_folder in ${found:+"$(dirname "$found")"} "${CARGO_HOME:-$HOME/.cargo}/bin" /usr/local/cargo/bin /usr/bin; do
        if rust_in "$cargo_folder"; then return 0; fi
    done
    say "No Rust compiler of version $minimum_rust or newer was found."
    for pair in "rustc-web cargo-web" "rustc cargo"; do
        if distribution_has "${pair%% *}"; then
            # shellcheck disable=SC2086 # two words
            install_packages "a Rust compiler" $pair || true
            cargo_folder=/usr/bin
            if rust_in "$cargo_folder"; then return 0; fi
        fi
    done
    if command -v curl >/dev/null 2>&1 && ask "Install Rust for $(id -un) with rustup from https://sh.rustup.rs?"; then
        curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs | sh -s -- -y --profile minimal --no-modify-path >&2 || true
        cargo_folder=${CARGO_HOME:-$HOME/.cargo}/bin
        if rust_in "$cargo_folder"; then return 0; fi
    fi
    fail "Rust $minimum_rust or newer is needed to build devenv. Install it with rustup (https://rustup.rs), or as root with
    apt-get install rustc-web cargo-web        (Debian 12 with its security updates)
and run this again. A release archive (--from FILE) needs no compiler."
}

# Whether apt would install package $1 in a version that is new enough.
distribution_has() {
    command -v apt-cache >/dev/null 2>&1 || return 1
    [ -n "$updated" ] || { [ -z "$packages" ] || as_root apt-get update -qq >/dev/null 2>&1 || true; updated=yes; }
    candidate=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | cut -d. -f1,2)
    case $candidate in '' | '(none)') return 1 ;; esac
    at_least "$minimum_rust" "${candidate#*:}"
}
updated=

# The C compiler is for the cryptography and compression libraries; the program needs none to run.
install_build_tools() {
    if ! command -v cc >/dev/null 2>&1 || ! [ -d /usr/include ] || ! [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        install_packages "for the build" gcc libc6-dev ca-certificates ||
            command -v cc >/dev/null 2>&1 || fail "a C compiler is needed to build devenv: install gcc and libc6-dev"
    fi
    find_rust
}

# sign FILE: macOS starts virtual machines only for programs that say so in their signature; one made here (ad hoc) is
# enough.
sign() {
    cat >"$1.entitlements" <<'PLIST'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict><key>com.apple.security.virtualization</key><true/></dict></plist>
PLIST
    codesign --force --sign - --entitlements "$1.entitlements" "$1" >&2 ||
        say "The program could not be signed: QEMU still works, Virtualization.framework does not."
    rm -f "$1.entitlements"
}

# put FILE: makes it $bin/devenv in one step, so that a running devenv keeps its file.
put() {
    mkdir -p "$bin"
    new=$bin/.devenv.$$
    trap 'rm -f "$new" "$new.entitlements"' EXIT INT TERM
    cp "$1" "$new"
    chmod 755 "$new"
    [ "$system" != Darwin ] || sign "$new"
    "$new" --version >/dev/null || fail "the program does not run on this computer ($(uname -sm))"
    mv -f "$new" "$bin/devenv"
    trap - EXIT INT TERM
}

# The SHA-256 of what is read. macOS has shasum instead of sha256sum.
sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

from_archive() {
    [ -f "$archive" ] || fail "there is no file $archive"
    if [ -f "$archive.sha256" ]; then
        wanted=$(cut -d' ' -f1 <"$archive.sha256")
        got=$(sha256 <"$archive")
        [ "$wanted" = "$got" ] || fail "$archive is damaged: its sha256 is $got, $archive.sha256 says $wanted. Download it again."
    else
        say "There is no $archive.sha256: the archive is not checked."
    fi
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT INT TERM
    tar -xzf "$archive" -C "$unpacked" || fail "$archive is not a release archive (.tar.gz)"
    program=$(find "$unpacked" -type f -name devenv | head -n1)
    [ -n "$program" ] || fail "$archive has no file named devenv"
    put "$program"
    rm -rf "$unpacked"
    trap - EXIT INT TERM
}

from_source() {
    [ -f "$source/Cargo.toml" ] ||
        fail "there is neither a program nor a source beside $0: give a release archive with --from FILE"
    install_build_tools
    say "Building devenv (the first time takes some minutes)"
    PATH=$cargo_folder:$PATH
    RUSTC=$cargo_folder/rustc
    export PATH RUSTC
    target=$("$RUSTC" -vV | sed -n 's/^host: //p')
    (cd "$source" && cargo build --locked --bin devenv --profile "$profile") || fail "the build failed"
    folder=$(cd "$source" && cargo metadata --locked --no-deps --format-version 1 | tr ',' '\n' |
        sed -n 's/^"target_directory":"\(.*\)"}\{0,1\}$/\1/p')
    case $profile in dev) output=debug ;; *) output=$profile ;; esac
    # .cargo/config.toml builds for a named target, so cargo adds a folder of that name.
    for program in "$folder/$target/$output/devenv" "$folder/$output/devenv"; do
        [ ! -x "$program" ] || { put "$program"; return; }
    done
    fail "the build left no program in $folder"
}

problems=0
good() { say "  ok       $1"; }
limited() { say "  limited  $1"; [ -z "${2:-}" ] || say "           $2"; }
bad() { say "  missing  $1"; [ -z "${2:-}" ] || say "           $2"; problems=$((problems + 1)); }

setting() { cat "/proc/sys/kernel/$1" 2>/dev/null || echo none; }

check_kernel() {
    kernel=$(uname -r | cut -d- -f1 | cut -d. -f1,2)
    if [ "$system" != Linux ]; then
        bad "Linux or macOS" "this is $system; boxes need a Linux kernel, here or in a virtual machine"
    elif at_least "$minimum_kernel" "$kernel"; then
        good "kernel $(uname -r)"
    else
        bad "kernel $minimum_kernel or newer (this is $(uname -r))" "overlay file systems of ordinary users came with it"
    fi
}

check_user_namespaces() {
    if [ "$(id -u)" -eq 0 ]; then
        good "root: user namespaces need no permission"
    elif [ "$(setting unprivileged_userns_clone)" = 0 ]; then
        bad "user namespaces for ordinary users" "as root: sysctl -w kernel.unprivileged_userns_clone=1 (and in /etc/sysctl.d to keep it)"
    elif [ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null || echo 1)" = 0 ]; then
        bad "user namespaces" "as root: sysctl -w user.max_user_namespaces=10000 (and in /etc/sysctl.d to keep it)"
    elif [ "$(setting apparmor_restrict_unprivileged_userns)" = 1 ]; then
        check_apparmor
    elif command -v unshare >/dev/null 2>&1 && ! unshare --user --map-root-user true 2>/dev/null; then
        bad "user namespaces" "the kernel refuses them to $(id -un) (inside a container or sandbox?)"
    else
        good "user namespaces"
    fi
}

# Ubuntu 24.04 lets only programs with a profile make user namespaces.
check_apparmor() {
    profile_file=/etc/apparmor.d/devenv
    if grep -qsF "$bin/devenv" "$profile_file"; then
        good "user namespaces (AppArmor profile $profile_file)"
        return
    fi
    if [ "$action" = install ] &&
        ask "AppArmor keeps programs without a profile from making user namespaces. Install $profile_file for $bin/devenv?"; then
        text="abi <abi/4.0>,
include <tunables/global>
profile devenv \"$bin/devenv\" flags=(unconfined) {
  userns,
}"
        if printf '%s\n' "$text" | as_root tee "$profile_file" >/dev/null && as_root apparmor_parser -r "$profile_file"; then
            good "user namespaces (AppArmor profile $profile_file)"
            return
        fi
    fi
    bad "user namespaces: AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns=1)" \
        "run install.sh on a terminal as $(id -un) and answer yes, or see docs/troubleshooting.md"
}

check_id_maps() {
    [ "$(id -u)" -ne 0 ] || { good "root: sub-uid ranges are not needed"; return; }
    if ! command -v newuidmap >/dev/null 2>&1 || ! command -v newgidmap >/dev/null 2>&1; then
        [ "$action" != install ] || install_packages "for sub-uids" uidmap || true
    fi
    if command -v newuidmap >/dev/null 2>&1 && command -v newgidmap >/dev/null 2>&1; then
        good "newuidmap, newgidmap"
    else
        limited "newuidmap and newgidmap are missing: boxes have a single user" "as root: apt-get install uidmap (elsewhere the package may be called shadow or shadow-utils)"
    fi
    for file in /etc/subuid /etc/subgid; do
        if grep -qsE "^($(id -un)|$(id -u)):" "$file"; then
            good "$file has a range for $(id -un)"
        else
            limited "$file has no range for $(id -un): boxes have a single user" "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
        fi
    done
}

check_path() {
    case :$PATH: in
        *":$bin:"*) good "$bin is in PATH" ;;
        *) limited "$bin is not in PATH" "add to your shell's start file: export PATH=\"$bin:\$PATH\"" ;;
    esac
}

check_macos() {
    version=$(sw_vers -productVersion 2>/dev/null || echo 0)
    if at_least "$minimum_macos" "$version"; then
        good "macOS $version"
    else
        bad "macOS $minimum_macos or newer (this is $version)"
    fi
    if [ "$(sysctl -n kern.hv_support 2>/dev/null || echo 0)" = 1 ]; then
        good "the processor runs virtual machines"
    else
        bad "a processor that runs virtual machines" "inside a virtual machine it has to be allowed from outside (nested virtualisation)"
    fi
    check_qemu
}

# Boxes live in a virtual machine here.
check_qemu() {
    qemu="qemu-system-x86_64"
    [ "$(uname -m)" != arm64 ] || qemu="qemu-system-aarch64"
    brew=$(find_brew)
    if ! find_qemu && [ "$action" = install ] && [ -n "$packages" ] && [ -n "$brew" ] &&
        ask "QEMU runs the virtual machine that boxes live in. Install it with Homebrew?"; then
        "$brew" install qemu >&2 || true
    fi
    if find_qemu; then
        good "$qemu"
    elif [ -n "$brew" ]; then
        bad "QEMU ($qemu)" "brew install qemu"
    else
        bad "QEMU ($qemu)" "install Homebrew (https://brew.sh), then: brew install qemu"
    fi
}

# Homebrew is in PATH, or where its installer puts it on Apple's and on Intel's processors.
find_brew() {
    command -v brew 2>/dev/null && return
    for candidate in "$homebrew/bin/brew" /usr/local/bin/brew; do
        [ ! -x "$candidate" ] || { echo "$candidate"; return; }
    done
}
homebrew=/opt/homebrew

find_qemu() {
    command -v "$qemu" >/dev/null 2>&1 || [ -x "$homebrew/bin/$qemu" ] || [ -x "/usr/local/bin/$qemu" ]
}

check_computer() {
    say "This computer:"
    if [ "$system" = Darwin ]; then
        check_macos
        check_path
        return
    fi
    check_kernel
    check_user_namespaces
    check_id_maps
    check_path
}

# Where devenv keeps its state (docs/internals.md). Settings in ~/.config are the person's own and stay.
state_folder() { echo "${DEVENV_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/devenv}"; }

# Files of sub-uids can be removed only inside a user namespace that has them.
remove_tree() {
    rm -rf "$1" 2>/dev/null || unshare --map-root-user --map-auto rm -rf "$1" 2>/dev/null ||
        { say "Some files in $1 could not be removed: as root, rm -r it."; return 1; }
}

uninstall() {
    if [ -x "$bin/devenv" ] && [ -n "$purge" ]; then
        if "$bin/devenv" list --json 2>/dev/null | grep -qE '"running": *[1-9]'; then
            fail "projects are still running: see 'devenv list', and 'devenv down' in each"
        fi
    fi
    if [ -e "$bin/devenv" ]; then
        rm -f "$bin/devenv"
        say "Removed $bin/devenv"
    else
        say "There is no $bin/devenv"
    fi
    folder=$(state_folder)
    if [ ! -e "$folder" ]; then
        say "There is no state in $folder"
    elif [ -n "$purge" ] && ask "Remove $folder with all images, boxes and volumes in it?"; then
        if remove_tree "$folder"; then say "Removed $folder"; fi
    else
        say "Kept: $folder"
    fi
    [ ! -e /etc/apparmor.d/devenv ] || say "Kept: /etc/apparmor.d/devenv (as root: rm it)"
}

case $action in
    check)
        check_computer
        [ "$problems" -eq 0 ] || exit 1
        ;;
    uninstall) uninstall ;;
    build_tools)
        install_build_tools
        echo "$cargo_folder"
        ;;
    install)
        if [ -n "$archive" ]; then
            from_archive
        elif [ ! -f "$source/Cargo.toml" ] && [ -x "$source/devenv" ]; then
            put "$source/devenv"
        else
            from_source
        fi
        check_computer
        say "Installed $("$bin/devenv" --version 2>/dev/null || echo devenv) as $bin/devenv"
        if [ "$problems" -ne 0 ]; then
            say "Something is missing (above): 'devenv up' will not work until it is there. Then: devenv doctor"
            exit 1
        fi
        case :$PATH: in *":$bin:"*) program=devenv ;; *) program=$bin/devenv ;; esac
        say "Next: cd to a project, then: $program init && $program shell"
        ;;
esac
