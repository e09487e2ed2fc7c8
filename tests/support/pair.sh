# shellcheck shell=sh
# A project of two boxes, one of which serves a page. To be sourced after journey.sh.
#
#   pair_project NAME PORT   makes and enters it; the page is at PORT of the host
#   serves                   the page is there
# shellcheck disable=SC2154 # support and sandbox are set by journey.sh

pair_project() {
    pair_port=$2
    project "$1" <<TOML
image   = "$image"
mounts  = [".:/src"]
volumes = ["data:/data"]
depends_on = ["web"]
[services.web]
image   = "$image"
mounts  = [".:/src"]
workdir = "/src"
command = ["python3", "-m", "http.server", "8100"]
ports   = ["$2:8100"]
TOML
    echo alive >page.txt
}

serves() { [ "$(fetch "http://127.0.0.1:$pair_port/page.txt" 2>/dev/null)" = alive ]; }
