#!/bin/sh
# What `docker compose up` needs beside compose.yml: secrets (made once, at random) and a copy of seam.yml that only
# containers can read. Run it first, and again after every change of seam.yml.
#   SEAM_SECRETS   folder of the secrets (default: secrets/ here)
#   SEAM_YML       configuration of the pool (default: seam.yml here; without it, the pool mines on devchain)
#   SEAM_ENV_FILE  settings of Docker Compose (default: .env here)
#   SEAM_EXTRA_CA  certificates of your own authority, PEM (default: NODE_EXTRA_CA_CERTS)
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${SEAM_SECRETS:-$here/secrets}
config=${SEAM_YML:-$here/seam.yml}
authority=${SEAM_EXTRA_CA:-${NODE_EXTRA_CA_CERTS:-}}
settings=${SEAM_ENV_FILE:-$here/.env}

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
[ -e "$folder/seam.yml" ] || : | write seam.yml
# A wrong file changes nothing. (Builds the image if there is none yet.)
if [ -e "$config" ]; then
  [ -e "$settings" ] || : >"$settings"
  docker compose --file "$here/compose.yml" --env-file "$settings" run --rm --no-deps --no-TTY configure deploy/configure.ts --check <"$config" || {
    printf 'Cannot use %s: see above; nothing was changed\n' "$config" >&2
    exit 78
  }
  write seam.yml <"$config"
else
  : | write seam.yml
fi
# Containers are unprivileged and read the files through bind mounts; on the host the folder lets nobody else in.
chmod 0700 "$folder"

# What compose.yml takes from .env; other lines there are yours.
setting() {
  grep -qx "$1=$2" "$settings" 2>/dev/null && return
  { grep -v "^$1=" "$settings" 2>/dev/null || :; printf '%s=%s\n' "$1" "$2"; } >"$settings.new"
  mv -f "$settings.new" "$settings"
}
# With a chain of its own the pool needs neither devchain nor demo miners.
if grep -q '^["'\'']\{0,1\}chains' "$folder/seam.yml"; then devchain=0; else devchain=1; fi
setting SEAM_DEVCHAIN "$devchain"
# Containers of another configuration are recreated by the next `up`.
setting SEAM_CONFIG_SUM "$(cksum <"$folder/seam.yml" | tr ' ' -)"

printf 'secrets are in %s\n' "$folder"
[ "$devchain" = 0 ] || printf 'NO CHAIN in %s: mining on devchain, coins are NOT REAL\n' "$config"
