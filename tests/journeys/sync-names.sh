#!/bin/sh
# shellcheck disable=SC2016,SC2317 # scripts for the box; the checks call the functions
# places: only ssh
# runs as: root
# journey: a source on exFAT, which takes `a` and `A` for one name and has neither links nor permissions
. "$(dirname "$0")/../support/journey.sh"
journey "a source on a file system that folds case"
for tool in mkfs.exfat mount.exfat-fuse losetup; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
/usr/bin/python3 -c 'import fusepy' 2>/dev/null || skip "python3-fusepy is not installed"

disk=$sandbox/expected-mount
mkdir "$disk"
truncate -s 64M "$sandbox/disk"
mkfs.exfat "$sandbox/disk" >/dev/null
loop=$(losetup --find --show "$sandbox/disk") || skip "there is no loop device"
unmount() { umount "$disk" "$disk-2"; losetup -d "$loop"; } 2>/dev/null
trap 'cd /; unmount; leave 130' INT TERM HUP PIPE
mount.exfat-fuse "$loop" "$disk" >"$sandbox/out" 2>&1 || { unmount; skip "exFAT cannot be mounted"; }
same "the disk folds case" kept "$(echo kept >"$disk/Probe" && cat "$disk/pROBE" && rm "$disk/Probe")"

cd "$disk" || exit 1
cat >devenv.toml <<'TOML'
image   = "host"
mounts  = [".:/src"]
workdir = "/src"
TOML
mkdir -p Src
echo one >Src/Main.c
echo '#!/bin/sh' >run.sh
in_box() { "$DEVENV" exec -- sh -c "$1"; }
listed() { find . -mindepth 1 ! -name '.devenv-sync' ! -path './.devenv-sync/*' -printf '%P\n' | LC_ALL=C sort | tr '\n' ' '; }
skipped() { "$DEVENV" sync status --json | jq -r --arg path "$1" '.[0].skipped[] | select(.path == $path) | .reason'; }

check "up" "$DEVENV" up
same "nothing is left of asking the disk" "Src Src/Main.c devenv.toml run.sh " "$(listed)"
same "the tree is there" "Src Src/Main.c devenv.toml run.sh " "$(in_box "$(printf 'cd /src; find . -mindepth 1 -printf "%%P\\n" | LC_ALL=C sort | tr "\\n" " "')")"

# Permissions: the disk has none, and does not spoil those of the other side.
check "made executable there" in_box 'chmod 755 run.sh'
echo 'echo ran' >>run.sh
same "it stays so when it is edited here" ran "$(in_box ./run.sh)"
same "what is made here is not" 644 "$(echo x >plain && in_box 'stat -c %a plain')"

# Two names that are one here.
check "two names there" in_box 'echo upper >README; echo lower >readme; mkdir src; echo other >src/Main.c'
same "one of the first two is here" upper "$(cat readme)"
same "what was here is not touched" one "$(cat SRC/main.c)"
same "the other is told" "this side takes its name for README, which it has: rename one of the two" "$(skipped readme)"
same "of folders too" "this side takes its name for Src, which it has: rename one of the two" "$(skipped src)"
same "there both stand" "upper lower one other" "$(in_box 'cat README readme Src/Main.c src/Main.c' | tr '\n' ' ' | sed 's/ $//')"
check "what is not in the way goes on" in_box 'echo more >>README'
same "in both directions" "upper more" "$(tr '\n' ' ' <README | sed 's/ $//')"
check "as the remedy says" in_box 'mv readme notes; mv src lib'
same "both come" "lower other" "$(cat notes lib/Main.c | tr '\n' ' ' | sed 's/ $//')"
same "and nothing is told any more" 0 "$("$DEVENV" sync status --json | jq '.[0].skipped_count')"

# A change of case only is a rename, on either side.
inode=$(stat -c %i Src)
check "renamed there" in_box 'mv Src sRC; mv notes Notes'
same "is renamed here" "Notes README devenv.toml lib lib/Main.c plain run.sh sRC sRC/Main.c " "$(listed)"
same "the folder is the same one" "$inode" "$(stat -c %i sRC)"
mv sRC source && mv source SRC && mv Notes NOTES
same "renamed here, it is renamed there" "NOTES README SRC SRC/Main.c" "$(in_box 'find NOTES README SRC | LC_ALL=C sort | tr "\n" " "' | sed 's/ $//')"
same "and no other is there" 1 "$(in_box 'ls -d [sS][rR][cC] | wc -l')"

# What the disk cannot have at all.
check "odd things there" in_box 'ln -s README link; touch "$(printf "no-text-\\377")" "a:b"'
same "a link is told" "its file system has no symlinks" "$(skipped link)"
same "a name that is no text" "this side takes only names in UTF-8: rename it" "$(skipped "$(printf 'no-text-\357\277\275')")"
check "a name with a colon" test -n "$(skipped a:b)"
check "and the rest goes on" "$DEVENV" sync flush
same "no conflict" 0 "$("$DEVENV" sync status --json | jq '.[0].conflict_count')"
check "down" "$DEVENV" down

# A disk that keeps accents apart from their letters, as HFS+ does.
mkdir "$sandbox/backing" "$disk-2"
/usr/bin/python3 "$support/hfs.py" "$sandbox/backing" "$disk-2" >"$sandbox/hfs" 2>&1 &
mounted() { grep -qF "$disk-2 " /proc/self/mountinfo; }
within 10 mounted
cp devenv.toml "$disk-2" && cd "$disk-2" || exit 1
e=$(printf '\303\251') apart=$(printf 'e\314\201')
echo one >"caf$e"
check "the disk splits the letter" test -e "$sandbox/backing/caf$apart"
check "up" "$DEVENV" up
same "there it is whole" "caf$e" "$(in_box 'ls | grep caf')"
echo two >"caf$e"
same "an edit here is seen there" two "$(in_box "cat caf$e")"
check "an edit there" in_box "echo three >caf$e; echo new >th$e"
same "is seen here" "three new" "$(cat "caf$e" "th$e" | tr '\n' ' ' | sed 's/ $//')"
check "a change of case there" in_box "mv caf$e CAF$e"
same "is one here" "CAF$apart devenv.toml th$apart " "$(listed)"
check "the same name in two forms there" in_box "echo split >caf$apart"
same "is told" "this side takes accented letters in one piece only (NFC): rename it" "$(skipped "caf$apart")"
same "and neither is touched" "three split" "$(in_box "cat CAF$e caf$apart" | tr '\n' ' ' | sed 's/ $//')"
check "down with it" "$DEVENV" down
cd / && unmount
finish
