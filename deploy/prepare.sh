#!/bin/sh
# What `docker compose up` needs beside compose.yml: secrets (made once, at random) and a copy of seam.yml that only
# containers can read. Run it first, and again after every change of seam.yml.
#   SEAM_SECRETS   folder of the secrets (default: secrets/ here)
#   SEAM_YML       configuration of the pool (default: seam.yml here; without it, the pool mines on devchain)
#   SEAM_EXTRA_CA  certificates of your own authority, PEM (default: NODE_EXTRA_CA_CERTS)
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${SEAM_SECRETS:-$here/secrets}
config=${SEAM_YML:-$here/seam.yml}
authority=${SEAM_EXTRA_CA:-${NODE_EXTRA_CA_CERTS:-}}
settings=$here/.env

umask 077
mkdir -p "$folder"
random() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }
# From standard input. Whole or not there: a container that starts meanwhile sees the old file.
write() {
  cat >"$folder/$1.new"
  chmod 0444 "$folder/$1.new"
  mv -f "$folder/$1.new" "$folder/$1"
}

[ -s "$folder/mesh_secret" ] || random 32 | write mesh_secret
[ -s "$folder/devchain_password" ] || random 24 | write devchain_password
if [ ! -s "$folder/redis_url" ]; then
  password=$(random 24)
  # The books are synced at every change: they come in batches, so that is cheap.
  write redis.conf <<CONF
requirepass $password
protected-mode yes
bind * -::*
dir /data
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
CONF
  printf 'redis://:%s@redis:6379' "$password" | write redis_url
fi
if [ -n "$authority" ]; then write extra_ca.pem <"$authority"; else : | write extra_ca.pem; fi
if [ -e "$config" ]; then write seam.yml <"$config"; else : | write seam.yml; fi
# Containers are unprivileged and read the files through bind mounts; on the host the folder lets nobody else in.
chmod 0700 "$folder"

# With a chain of its own the pool needs neither devchain nor demo miners.
if grep -q '^["'\'']\{0,1\}chains' "$folder/seam.yml"; then devchain=0; else devchain=1; fi
if [ -z "${SEAM_DEVCHAIN:-}" ] && ! grep -qx "SEAM_DEVCHAIN=$devchain" "$settings" 2>/dev/null; then
  { grep -v '^SEAM_DEVCHAIN=' "$settings" 2>/dev/null || :; printf 'SEAM_DEVCHAIN=%s\n' "$devchain"; } >"$settings.new"
  mv -f "$settings.new" "$settings"
fi

printf 'secrets are in %s\n' "$folder"
[ "$devchain" = 0 ] || printf 'NO CHAIN in %s: mining on devchain, coins are NOT REAL\n' "$config"
