# shellcheck shell=sh
# A project of two boxes, one of which serves a page, and what tells whether all of it is there just once. To be sourced
# after journey.sh.
#
#   pair_project NAME PORT   makes and enters it; the page is at PORT of the host
#   serves                   the page is there
#   counts "BOXES KEEPERS"   so many run
# shellcheck disable=SC2154 # support and sandbox are set by journey.sh

pair_project() {
    pair_port=$2
    project "$1" <<TOML
image   = "host"
mounts  = [".:/src"]
volumes = ["data:/data"]
depends_on = ["web"]
[services.web]
image   = "host"
mounts  = [".:/src"]
workdir = "/src"
command = ["python3", "-m", "http.server", "8100"]
ports   = ["$2:8100"]
TOML
    echo alive >page.txt
}

serves() { [ "$(fetch "http://127.0.0.1:$pair_port/page.txt" 2>/dev/null)" = alive ]; }
census() { python3 "$support/census.py" "$sandbox"; }
counts() { [ "$(census)" = "$1" ]; }
