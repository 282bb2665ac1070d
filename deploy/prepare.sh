#!/bin/sh
# Makes the secrets of a deployment, once: random, and readable by containers only through the folder's owner.
set -eu
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/secrets
umask 077
mkdir -p "$folder"
random() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

[ -s "$folder/mesh_secret" ] || random 32 >"$folder/mesh_secret"
[ -s "$folder/devchain_password" ] || random 24 >"$folder/devchain_password"
if [ ! -s "$folder/redis_url" ]; then
  password=$(random 24)
  printf 'redis://:%s@redis:6379' "$password" >"$folder/redis_url"
  printf 'requirepass %s\nprotected-mode yes\nbind * -::*\ndir /data\nappendonly yes\nappendfsync always\nsave ""\nmaxmemory-policy noeviction\n' "$password" >"$folder/redis.conf"
fi
# Containers run unprivileged and read these through a bind mount; the folder itself lets nobody else in.
chmod 0444 "$folder"/*
chmod 0700 "$folder"
printf 'secrets are in %s\n' "$folder"
