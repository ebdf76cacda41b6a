#!/usr/bin/env bash
# The first process of a made-up host: gives it folders of its own, then answers ssh until it is
# ended. Called with the host's folder, the project's folder, the home folder, and sshd's settings.
set -euo pipefail
folder=$1 project=$2 home=$3 settings=$4

mount --make-rprivate /
hostname "$(basename "$folder")"
mkdir -p "$folder"/{home,tmp,kept}
# /tmp becomes the host's own, but the project must stay visible where it is.
mount --bind "$project" "$folder/kept"
mount --bind "$folder/tmp" /tmp
mkdir -p "$project"
mountpoint -q "$project" || mount --bind "$folder/kept" "$project"
mount -t tmpfs -o size=3g tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd "$home"
mount --bind "$folder/home" "$home"
mount --bind "$folder/passwd" /etc/passwd
exec /usr/sbin/sshd -D -e -f "$settings"
