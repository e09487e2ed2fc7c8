#!/bin/sh
# shellcheck disable=SC2016,SC2317 # scripts for the box; the checks call the functions
# places: only ssh
# runs as: root
# journey: git, make, cargo, npm, editors and a server that reloads do in a synced folder what they do in any other
. "$(dirname "$0")/../support/journey.sh"
journey "real work in a synced folder"

# rustc is too large to be copied for this; as root the links are free.
rust=
if command -v rustc >/dev/null || [ -n "${DEVENV_TEST_TOOLS:-}" ]; then
    export RUSTUP_HOME="${DEVENV_TEST_RUSTUP_HOME:-$(getent passwd root | cut -d: -f6)/.rustup}"
    PATH=${DEVENV_TEST_TOOLS:-}:$PATH
    rust=$(mktemp -d /var/tmp/devenv-rust.XXXXXX)
    chmod 755 "$rust"
    cp -al "$(rustc --print sysroot)/bin" "$(rustc --print sysroot)/lib" "$rust/" || cp -a "$(rustc --print sysroot)/." "$rust/"
    trap 'rm -rf "$rust"; leave 130' INT TERM HUP PIPE
fi

export GIT_AUTHOR_NAME=me GIT_AUTHOR_EMAIL=me@example.org GIT_COMMITTER_NAME=me GIT_COMMITTER_EMAIL=me@example.org
export GIT_AUTHOR_DATE="2024-01-01T00:00:00Z" GIT_COMMITTER_DATE="2024-01-01T00:00:00Z" GIT_CONFIG_NOSYSTEM=1
alone=$sandbox/alone
mkdir "$alone"
project shop <<TOML
image   = "host"
mounts  = [{ source = ".", target = "/src", ignore = ["!node_modules"] }]
workdir = "/src"
command = ["python3", "/src/watched.py", "/src/web", "--serve", "8000", "page"]
ports   = ["8751:8000"]
[env]
GIT_AUTHOR_NAME = "me"
GIT_AUTHOR_EMAIL = "me@example.org"
GIT_COMMITTER_NAME = "me"
GIT_COMMITTER_EMAIL = "me@example.org"
GIT_AUTHOR_DATE = "$GIT_AUTHOR_DATE"
GIT_COMMITTER_DATE = "$GIT_COMMITTER_DATE"
GIT_CONFIG_NOSYSTEM = "1"
CARGO_HOME = "/tmp/cargo"
TOML
cp "$support/watched.py" .
mkdir web saved
echo 0 >web/page

# All below a folder: kind, mode, link or content. git's index holds times and inodes, which are each disk's own.
cat >shown.sh <<'SH'
cd "$1" || exit 1
find . -type f ! -path '*/.git/index' -printf '%m %p\n' -o -type l -printf 'link %p %l\n' -o -type d -printf 'folder %p\n' | LC_ALL=C sort
find . -type f ! -path '*/.git/index' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
SH
same_as_alone() {
    for folder in "$@"; do
        sh shown.sh "$alone/$folder" >"$sandbox/wanted"
        sh shown.sh "$folder" >"$sandbox/here"
        "$DEVENV" exec -- sh shown.sh "$folder" >"$sandbox/there"
        diff "$sandbox/wanted" "$sandbox/here" && diff "$sandbox/wanted" "$sandbox/there" || return 1
    done
}

check "up" "$DEVENV" up

# git: each of the two sides works, and both end as they do without sync.
cat >work-git.sh <<'SH'
set -e
mkdir "$1" && cd "$1"
git init -q -b main origin
cd origin
git config pack.threads 1
for number in $(seq 70); do
    mkdir -p "dir$((number % 7))"
    seq "$number" $((number * 9)) >"dir$((number % 7))/file$number"
done
ln -s dir1/file1 link
printf '#!/bin/sh\n' >run && chmod 755 run
git add -A && git commit -q -m one
git checkout -q -b feature
for number in $(seq 1 3 70); do echo more >>"dir$((number % 7))/file$number"; done
git rm -q -r -f dir3 && git commit -q -a -m two
git checkout -q main
echo main >>dir2/file2 && git commit -q -a -m three
cd ..
git clone -q --no-hardlinks origin clone
cd clone
git config pack.threads 1
git checkout -q feature
git rebase -q origin/main
git checkout -q main
git merge -q --ff-only feature
git stash -q 2>/dev/null || true
git gc -q --prune=now
test -z "$(git status --porcelain)"
SH
clean_git() { git -C "$1" fsck --no-progress && test -z "$(git -C "$1" status --porcelain)" && test "$(git -C "$1" log --oneline | wc -l)" = 3; }
cp work-git.sh "$alone"
check "git without sync" sh -c 'cd "$1" && sh work-git.sh by-them && sh work-git.sh by-us' - "$alone"
check "git there: clone, checkout, rebase, gc" "$DEVENV" exec -- sh work-git.sh by-them
check "git here" sh work-git.sh by-us
# Where a clone came from stands in its configuration, which is another path on each side.
for clone in "$alone/by-us/clone" "$alone/by-them/clone" by-us/clone; do git -C "$clone" remote remove origin; done
check "git's configuration is not taken from there" test ! -e by-them/clone/.git/config
"$DEVENV" exec -- git -C by-them/clone remote remove origin
for git in origin clone; do
    cp "$alone/by-them/$git/.git/config" "by-them/$git/.git/config"
    cp -r "$alone/by-them/$git/.git/hooks" "by-them/$git/.git/" 2>/dev/null
done
check "and both sides are as without sync" same_as_alone by-them by-us
check "the repository made there is whole here" clean_git by-them/clone
check "the one made here is whole there" "$DEVENV" exec -- sh -c "git -C by-us/clone fsck --no-progress && test -z \"\$(git -C by-us/clone status --porcelain)\""

# make: nothing that is up to date is made again on the other side.
mkdir made
printf 'out: in\n\tcp in out\n' >made/Makefile
echo 1 >made/in
check "make there" "$DEVENV" exec -- make -s -C made
check "is up to date here" make -q -C made
echo 2 >made/in
check "an edit here is made there" "$DEVENV" exec -- sh -c 'make -s -C made && grep -qx 2 made/out'
check "and is up to date here" make -q -C made

# cargo, whose target folder each side has for itself.
if [ -n "$rust" ]; then
    mkdir -p crate/src/bin
    printf '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\n' >crate/Cargo.toml
    echo 'pub fn answer() -> u32 { 41 }' >crate/src/lib.rs
    echo 'fn main() { println!("{}", small::answer()); }' >crate/src/bin/ask.rs
    cat >work-cargo.sh <<SH
PATH=$rust/bin:\$PATH CARGO_NET_OFFLINE=true cargo build --manifest-path crate/Cargo.toml 2>&1 && crate/target/debug/ask
SH
    check "cargo build there" "$DEVENV" exec -- sh work-cargo.sh
    says "compiles and runs" "^41$"
    check "cargo build here" env CARGO_HOME="$sandbox/cargo" sh work-cargo.sh
    check "again there" "$DEVENV" exec -- sh work-cargo.sh
    same "nothing is compiled twice" 0 "$(grep -c Compiling "$sandbox/out")"
    sed -i 's/41/42/' crate/src/lib.rs
    check "after an edit here" "$DEVENV" exec -- sh work-cargo.sh
    says "it is compiled there" "^42$"
    check "an edit there" "$DEVENV" exec -- sed -i s/42/43/ crate/src/lib.rs
    check "cargo build here" env CARGO_HOME="$sandbox/cargo" sh work-cargo.sh
    says "compiles it here" "^43$"
    check "Cargo.lock, made there, is here" test -s crate/Cargo.lock
fi

# Thousands of small files at once; npm, where there is one.
cat >work-npm.sh <<'SH'
set -e
mkdir "$1" && cd "$1" && mkdir -p lib app
for number in $(seq 30); do mkdir "lib/$number"; for part in $(seq 35); do echo "exports.x = $number$part" >"lib/$number/$part.js"; done; done
echo '{"name":"lib","version":"1.0.0","bin":{"lib":"1/1.js"}}' >lib/package.json
echo '{"name":"app","version":"1.0.0"}' >app/package.json
cd app
if command -v npm >/dev/null; then
    HOME=$(mktemp -d) npm install --silent --offline --install-links --no-audit --no-fund --no-update-notifier ../lib
else
    mkdir -p node_modules/.bin && cp -r ../lib node_modules/lib && ln -s ../lib/1/1.js node_modules/.bin/lib
fi
SH
cp work-npm.sh "$alone"
check "npm install without sync" sh -c 'cd "$1" && sh work-npm.sh npm' - "$alone"
check "npm install there" "$DEVENV" exec -- sh work-npm.sh npm
check "is here as without sync" same_as_alone npm
rm -r npm/app/node_modules "$alone/npm/app/node_modules"
check "and goes there when it is removed here" same_as_alone npm

# Saves in five styles; a program that watches the folder on the other side hears of each in the file's own name.
cat >save.py <<'PY'
import os, sys
style, path, text = sys.argv[1:]
def write(path, text, mode="w"):
    with open(path, mode) as file:
        file.write(text)
if style == "in-place":
    write(path, text, "r+")
elif style == "truncated":
    write(path, text)
elif style == "renamed":
    write(path + ".tmp", text)
    os.rename(path + ".tmp", path)
elif style == "vim":
    folder = os.path.dirname(path)
    write(folder + "/4913", "")
    os.unlink(folder + "/4913")
    os.rename(path, path + "~")
    write(path, text)
    os.unlink(path + "~")
else:
    os.execvp("sed", ["sed", "-i", f"s/.*/{text}/", path])
PY
echo first >saved/file
"$DEVENV" exec -- sh -c 'exec python3 watched.py saved /tmp/ready >/tmp/heard' >"$sandbox/watching" 2>&1 </dev/null &
far_watcher=$!
check "a program watches there" within 10 "$DEVENV" exec -- test -e /tmp/ready
python3 watched.py saved "$sandbox/ready" >"$sandbox/heard" 2>&1 &
watcher=$!
within 10 test -e "$sandbox/ready"
# heard_well LOG: the file's last event is that it is there, and every name is one that an editor gave.
heard_well() {
    last=$(grep ' file$' "$1" | tail -n1)
    case $last in "MOVED_TO file" | "CLOSE_WRITE file") ;; *) echo "last: $last"; cat "$1"; return 1 ;; esac
    ! grep -vE ' (file|file\.tmp|file~|4913|sed.{6})$' "$1"
}
heard_there() { "$DEVENV" exec -- cat /tmp/heard >"$sandbox/heard-there" && heard_well "$sandbox/heard-there"; }
for style in in-place truncated renamed vim sed; do
    python3 save.py "$style" saved/file "here-$style"
    same "saved here, $style" "here-$style" "$("$DEVENV" exec -- head -n1 saved/file)"
    check "it is heard of there" heard_there
    "$DEVENV" exec -- python3 save.py "$style" saved/file "them-$style"
    same "saved there, $style" "them-$style" "$(head -n1 saved/file)"
    check "it is heard of here" within 10 heard_well "$sandbox/heard"
done
kill "$watcher" "$far_watcher"
wait "$watcher" "$far_watcher" 2>/dev/null

# A server that reloads what changed: once for each save.
page_is() { [ "$(fetch http://127.0.0.1:8751/)" = "$1" ]; }
check "the server serves" within 20 page_is 0
before=$(fetch http://127.0.0.1:8751/reloads)
for number in 1 2 3 4 5; do
    python3 save.py renamed web/page "$number"
    within 20 page_is "$number" || not_ok "save $number is served"
done
check "what was saved last is served" page_is 5
same "and was reloaded once for each save" $((before + 5)) "$(fetch http://127.0.0.1:8751/reloads)"

same "no conflict" 0 "$("$DEVENV" sync status --json | jq '.[0].conflict_count')"
check "down" "$DEVENV" down
[ -z "$rust" ] || rm -rf "$rust"
finish
