# shellcheck shell=sh
# Images for tests and benchmarks, made from Debian packages, and a registry on loopback that serves them.
#
#   make_images FOLDER       OCI layouts FOLDER/debian, FOLDER/busybox, FOLDER/web, FOLDER/layers
#   start_registry FOLDER    serves on a free port; sets registry (HOST:PORT) and registry_pid
#   push_images FOLDER       as debian:bookworm, busybox:latest, web:latest, layers:twenty

# add_layer LAYOUT TAG TAR
add_layer() { umoci raw add-layer --image "$1:$2" "$3" >/dev/null; }

new_image() {
    rm -rf "${1:?}"
    umoci init --layout "$1" >/dev/null
    umoci new --image "$1:$2" >/dev/null
    umoci config --image "$1:$2" --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        --architecture "$(dpkg --print-architecture)"
}

# Debian minbase with python3: about 60 MB to download, 180 MB unpacked.
make_debian() {
    [ ! -f "$1/debian/.done" ] || return 0
    echo "Making the debian image (mmdebstrap, about a minute)" >&2
    # No network but the configured mirror is used. A tar from mmdebstrap needs no loop device or mount.
    # shellcheck disable=SC2016 # expanded by mmdebstrap's shell
    mmdebstrap --quiet --mode=root --variant=minbase --include=python3,procps \
        --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*' \
        bookworm "$1/debian.tar"
    new_image "$1/debian" bookworm
    add_layer "$1/debian" bookworm "$1/debian.tar"
    umoci config --image "$1/debian:bookworm" --config.cmd bash
    umoci gc --layout "$1/debian" >/dev/null
    touch "$1/debian/.done"
}

# One static program and its applets: the smallest image that runs a shell.
make_busybox() {
    [ ! -f "$1/busybox/.done" ] || return 0
    tree=$1/busybox.tree
    rm -rf "$tree"
    mkdir -p "$tree/bin" "$tree/etc" "$tree/root" "$tree/tmp" "$tree/home" "$tree/www"
    chmod 1777 "$tree/tmp"
    cp "$(command -v busybox)" "$tree/bin/busybox"
    for applet in $("$tree/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\nwww:x:33:33:www:/www:/bin/sh\n' >"$tree/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\nwww:x:33:\n' >"$tree/etc/group"
    echo 'hello from the image' >"$tree/www/index.html"
    tar -C "$tree" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -cf "$1/busybox.tar" .
    rm -rf "$tree"
    new_image "$1/busybox" latest
    add_layer "$1/busybox" latest "$1/busybox.tar"
    umoci config --image "$1/busybox:latest" --config.cmd sh
    touch "$1/busybox/.done"
}

# A service with everything an image can say: entrypoint, command, user, folder, environment, stop signal.
make_web() {
    [ ! -f "$1/web/.done" ] || return 0
    new_image "$1/web" latest
    add_layer "$1/web" latest "$1/busybox.tar"
    umoci config --image "$1/web:latest" --config.entrypoint /bin/httpd --config.entrypoint -f \
        --config.cmd -p --config.cmd 8080 --config.user www --config.workingdir /www \
        --config.env GREETING=hello --config.stopsignal SIGINT
    touch "$1/web/.done"
}

# Twenty layers of 10 MB, half of it compressible, 50 files each; every layer replaces one file of the one below.
make_layers() {
    [ ! -f "$1/layers/.done" ] || return 0
    echo "Making the twenty-layer image" >&2
    new_image "$1/layers" twenty
    add_layer "$1/layers" twenty "$1/busybox.tar"
    number=1
    while [ "$number" -lt 20 ]; do
        tree=$1/layers.tree
        rm -rf "$tree"
        mkdir -p "$tree/data/$number"
        file=0
        while [ "$file" -lt 50 ]; do
            { head -c 100000 /dev/urandom; head -c 100000 /dev/zero; } >"$tree/data/$number/$file"
            file=$((file + 1))
        done
        echo "$number" >"$tree/data/last"
        tar -C "$tree" --owner=0 --group=0 --numeric-owner -cf "$1/layers.tar" .
        add_layer "$1/layers" twenty "$1/layers.tar"
        number=$((number + 1))
    done
    rm -rf "$tree" "$1/layers.tar"
    touch "$1/layers/.done"
}

make_images() {
    mkdir -p "$1"
    make_busybox "$1" && make_web "$1" && make_debian "$1"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_registry FOLDER
start_registry() {
    registry=127.0.0.1:$(free_port)
    mkdir -p "$1"
    cat >"$1/config.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $1/store}
  delete: {enabled: true}
http: {addr: $registry}
YAML
    docker-registry serve "$1/config.yml" >"$1/log" 2>&1 &
    registry_pid=$!
    tries=0
    until curl -fsS -o /dev/null "http://$registry/v2/" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -ge 100 ] || ! kill -0 "$registry_pid" 2>/dev/null; then
            cat "$1/log" >&2
            return 1
        fi
        sleep 0.1
    done
}

# push_image LAYOUT TAG NAME
push_image() {
    skopeo copy --quiet --dest-tls-verify=false "oci:$1:$2" "docker://$registry/$3"
}

push_images() {
    push_image "$1/debian" bookworm debian:bookworm
    push_image "$1/busybox" latest busybox:latest
    push_image "$1/web" latest web:latest
    [ ! -d "$1/layers" ] || push_image "$1/layers" twenty layers:twenty
}
