#!/bin/sh
# journey: a new colleague's one command: `devenv up GIT-URL`
# places: ssh
. "$(dirname "$0")/../support/journey.sh"
journey "up GIT-URL"

export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
origin=$sandbox/shop.git
mkdir "$origin"
(
    cd "$origin" || exit 1
    git init -q -b main .
    printf 'image  = "%s"\nmounts = [".:/src"]\nports  = ["18500:8000"]\n' "$image" >devenv.toml
    echo main >branch.txt
    git add . && git commit -qm first
    git checkout -qb feature
    echo feature >branch.txt
    git commit -qam second
    git checkout -q main
)
cd "$work" || exit 1
exits "nobody to ask and no --yes: nothing is done" 1 "$DEVENV" --no-input up "file://$origin"
says "says how to trust it" '--yes'
check "up from a repository" "$DEVENV" --no-input up --yes "file://$origin"
says "shows what the file wants of this computer" '18500'
check "the checkout is there" test -f shop/devenv.toml
check "the box is up" "$DEVENV" -C shop exec -T -- test -f /src/branch.txt
check "again: the same folder is used" "$DEVENV" --no-input up --yes "file://$origin"
check "first down" "$DEVENV" -C shop down
rm -rf shop
check "a branch" "$DEVENV" --no-input up --yes "file://$origin#feature"
same "is checked out" feature "$(cat shop/branch.txt)"
exits "a repository that is not there" 1 "$DEVENV" --no-input up --yes "file://$sandbox/none.git"
same "leaves no folder" "no" "$([ -e none ] && echo yes || echo no)"
finish
