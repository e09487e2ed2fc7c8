# shellcheck shell=sh
# Pulling an image from a registry on loopback into an empty store.
# shellcheck disable=SC2154 # set by `run` and peers.sh

# floor_script NAME TAG: every layer in turn through curl, gzip and tar; no digest is checked, nothing is committed.
floor_script() {
    digests=$(curl -fsS -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/$1/manifests/$2" | jq -r '.layers[].digest')
    {
        echo '#!/bin/sh'
        echo 'set -e'
        for digest in $digests; do
            echo "curl -fsS http://$registry/v2/$1/blobs/$digest | gzip -dc | tar -x --exclude='./dev/*' -C \"\$1\""
        done
    } >"$folder/floor-$1"
    chmod 755 "$folder/floor-$1"
}

start_dockerd
for image in debian:bookworm layers:twenty; do
    name=${image%%:*}
    floor_script "$name" "${image##*:}"
    for who in root user; do
        start_podman "$who"
        eval "podman=\$podman_$who"
        target=$folder/$who/unpacked
        if [ -n "$DEVENV" ]; then
            as "$who" "$DEVENV" -q -C "$folder/$who/project" down >/dev/null 2>&1 || true
            row "devenv image pull" - "$DEVENV -q image rm $registry/$image >/dev/null 2>&1; $DEVENV -q image prune >/dev/null 2>&1; true" \
                "$DEVENV -q image pull $registry/$image"
        fi
        row "curl, gzip, tar in turn" 1.1 "rm -rf $target; mkdir $target" "$folder/floor-$name $target"
        [ "$who" = user ] || row "docker pull" 0.35 "docker rmi -f $registry/$image debian:bookworm >/dev/null 2>&1; true" "docker pull -q $registry/$image"
        row "podman pull" 0.35 "$podman rmi -f $registry/$image >/dev/null 2>&1; true" "$podman pull -q --tls-verify=false $registry/$image"
        table "$who" "pull: $image ($(du -sm "$images/$name/blobs" | cut -f1) MB to download)"
        rm -rf "$target"
    done
done
