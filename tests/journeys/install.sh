#!/bin/sh
# journey: install.sh: from an archive, from source, over a running program, and away again
. "$(dirname "$0")/../support/journey.sh"
journey "install.sh"
install=${DEVENV_TEST_INSTALL:-$support/../../install.sh}
[ -f "$install" ] || skip "DEVENV_TEST_INSTALL does not name install.sh"

mkdir "$work/release" "$work/alone"
cp "$install" "$work/alone/install.sh"
cp "$DEVENV" "$work/release/devenv"
tar -C "$work/release" -czf "$work/devenv.tar.gz" devenv
(cd "$work" && sha256sum devenv.tar.gz >devenv.tar.gz.sha256)
bin=$HOME/.local/bin

run() { sh "$work/alone/install.sh" --no-packages "$@" </dev/null; }

exits "an unknown option" 2 run --frobnicate
exits "nothing to install from" 1 run
says "says what to give" '--from'
check "from an archive" run --from "$work/devenv.tar.gz"
says "says what to do next" 'devenv init'
check "the program runs" "$bin/devenv" --version
same "nothing else is in the folder" devenv "$(ls -A "$bin")"
first=$(stat -c %i "$bin/devenv")
"$bin/devenv" --version >/dev/null &
check "again, by the variable" env DEVENV_ARCHIVE="$work/devenv.tar.gz" sh "$work/alone/install.sh" --no-packages
wait
check "it is a new file, not the old one overwritten" test "$first" != "$(stat -c %i "$bin/devenv")"
check "--prefix" run --from "$work/devenv.tar.gz" --prefix "$work/elsewhere"
check "puts it there" "$work/elsewhere/bin/devenv" --version
cp "$DEVENV" "$work/alone/devenv"
check "beside the program of an unpacked archive" run --prefix "$work/unpacked"
rm "$work/alone/devenv"

cp "$work/devenv.tar.gz" "$work/damaged.tar.gz"
printf x >>"$work/damaged.tar.gz"
sed 's/devenv.tar.gz/damaged.tar.gz/' "$work/devenv.tar.gz.sha256" >"$work/damaged.tar.gz.sha256"
before=$(stat -c %i "$bin/devenv")
exits "a damaged archive" 1 run --from "$work/damaged.tar.gz"
says "is named" 'damaged'
same "and replaces nothing" "$before" "$(stat -c %i "$bin/devenv")"
exits "an archive that is not there" 1 run --from "$work/none.tar.gz"
echo text >"$work/text.tar.gz"
exits "an archive that is none" 1 run --from "$work/text.tar.gz"
same "nothing half done is left" devenv "$(ls -A "$bin")"

check "--check" run --check
says "looks at the kernel" 'kernel'
says "and says that the folder is not in PATH" 'not in PATH'
mkdir "$work/empty-path"
for tool in sh sed cat id uname cut sort head grep dirname printf; do ln -s "$(command -v "$tool")" "$work/empty-path/$tool" 2>/dev/null; done
if [ "$(id -u)" -ne 0 ]; then
    exits "--check without newuidmap is a limit, not a failure" 0 env PATH="$work/empty-path" sh "$work/alone/install.sh" --check --no-packages
    says "and names the package" 'uidmap'
fi

# A computer that says it is a Mac: what install.sh decides there. What only a Mac can do is not tested here.
mkdir "$work/mac"
printf '#!/bin/sh\ncase $1 in -m) echo arm64 ;; -sm) echo Darwin arm64 ;; *) echo Darwin ;; esac\n' >"$work/mac/uname"
printf '#!/bin/sh\necho 14.5\n' >"$work/mac/sw_vers"
printf '#!/bin/sh\necho 1\n' >"$work/mac/sysctl"
printf '#!/bin/sh\necho "$*" >>"%s/mac/signed"\n' "$work" >"$work/mac/codesign"
printf '#!/bin/sh\nexit 1\n' >"$work/mac/brew"
chmod +x "$work"/mac/*
# This computer may have one.
mkdir "$work/without"
ln -s /usr/bin/* "$work/without/"
rm -f "$work"/without/qemu-*
exits "a Mac without QEMU" 1 env PATH="$work/mac:$work/without" sh "$work/alone/install.sh" --check
says "is told how to get it" 'brew install qemu'
touch "$work/mac/qemu-system-aarch64"
chmod +x "$work/mac/qemu-system-aarch64"
check "a Mac with QEMU" env PATH="$work/mac:$PATH" sh "$work/alone/install.sh" --from "$work/devenv.tar.gz" --prefix "$work/mac-prefix"
says "is looked at as one" 'macOS 14.5'
check "the program is signed to run virtual machines" grep -q -- '--sign - --entitlements' "$work/mac/signed"
same "and nothing is left beside it" devenv "$(ls -A "$work/mac-prefix/bin")"

mkdir -p "$DEVENV_HOME/images"
check "--uninstall" run --uninstall
says "says where the state is" "$DEVENV_HOME"
exits "removes the program" 1 test -e "$bin/devenv"
check "keeps the state" test -d "$DEVENV_HOME/images"
check "--uninstall --purge with nobody to ask" run --uninstall --purge
check "keeps the state too" test -d "$DEVENV_HOME/images"
check "--uninstall --purge --yes" run --uninstall --purge --yes
exits "removes it" 1 test -e "$DEVENV_HOME"
mkdir -p "$DEVENV_HOME"

# From source: only where the checkout and its target folder are ours (and with the profile that is built already).
if [ -n "${DEVENV_TEST_TOOLS:-}" ] && [ -w "${DEVENV_TEST_CHECKOUT:-/nonexistent}/Cargo.toml" ]; then
    check "from source" env PATH="$DEVENV_TEST_TOOLS:$PATH" CARGO_HOME="$DEVENV_TEST_CARGO_HOME" RUSTUP_HOME="$DEVENV_TEST_RUSTUP_HOME" \
        sh "$DEVENV_TEST_CHECKOUT/install.sh" --profile dev --prefix "$work/built"
    check "the program runs" "$work/built/bin/devenv" --version
fi
finish
