# shellcheck shell=sh
# Where a journey's boxes run. The journey has to say nothing about it; what it may need to know are words. Sourced by
# journey.sh.
#
# Words: $place (as `--place` has it), $person (name and ids of the boxes' user: "me 1000 1000"), $image (what boxes are made
# of where any system will do: `host`, or what comes closest where there is none), $there (the folder of the remote host;
# empty elsewhere), $state (the state folder of the place,
# as far as this computer has it: not that of the VM), and
#
#   settle      waits until what was saved here is in the boxes as well
#   has_ended PID   the process that `status` tells of is no more
#   census      prints how many boxes and keepers run of this journey, as census.py does; not of the VM
#   keepers     prints the process ids of the keepers, of this computer and of the other
#   counts "BOXES KEEPERS"   so many run
# shellcheck disable=SC2034,SC2154 # they are read by the journeys; support, sandbox and registry are set by journey.sh

# Has every command of this journey mean the place that DEVENV_TEST_PLACE names.
go_there() {
    place=here
    there=
    image=host
    state=$DEVENV_HOME
    person="$(id -un) $(id -u) $(id -g)"
    case ${DEVENV_TEST_PLACE:-here} in
        here) return ;;
        ssh)
            # The account there must be able to enter its folder.
            sandbox_there=$(mktemp -d /tmp/devenv-t.XXXXXX)
            chmod 755 "$sandbox_there"
            # shellcheck source=sshd.sh
            . "$support/sshd.sh"
            start_sshd "$sandbox_there" || exit 1
            state=$there/state
            person="$there_user $(id -u "$there_user") $(id -g "$there_user")"
            printf 'place = "%s"\n' "$place" >"$DEVENV_HOME/config.toml"
            ;;
        vm)
            place=vm
            state=
            image=$registry/debian:bookworm
            printf 'place = "vm"\n[vm]\nmemory = "1g"\ncpus = 2\ndisk = "8g"\naccelerator = "tcg"\n' >"$DEVENV_HOME/config.toml"
            ;;
    esac
}

settle() { [ "$place" = here ] || "$DEVENV" sync flush; }

# What the guest of the VM tells of its processes: number, parent, memory, command line.
guest_processes() { "$DEVENV" vm ssh | sed '1,/PROGRAM$/d'; }

has_ended() {
    case $place in
        vm) ! guest_processes | awk -v pid="$1" '$1 == pid { found = 1 } END { exit !found }' ;;
        *) ! kill -0 "$1" ;;
    esac
}

census() {
    python3 "$support/census.py" "$sandbox" "$there"
}

keepers() { python3 "$support/census.py" --keepers "$sandbox" "$there"; }

counts() { [ "$(census)" = "$1" ]; }

# The VM of this journey, with all that is in it.
remove_vm() {
    [ ! -d "$DEVENV_HOME/data/vm" ] || timeout 60 "$DEVENV" vm rm --yes </dev/null
}

# The other computer, with what is kept on it.
leave_there() {
    [ -n "${sandbox_there:-}" ] || return
    stop_sshd
    chmod -R u+rwX "$sandbox_there" 2>/dev/null
    rm -rf "$sandbox_there" 2>/dev/null && return
    unshare --map-root-user --map-auto rm -rf "$sandbox_there" 2>/dev/null
    rm -rf "$sandbox_there" 2>/dev/null || true
}
