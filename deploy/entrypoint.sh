#!/bin/sh
# Starts one part of Seam in a container: `seam-entrypoint services/stratum-server/main.ts`.
set -eu
# Peers reach us by address. The name of a container that is gone would be asked of name servers outside, and waited for.
if [ -z "${SEAM_ADVERTISE:-}" ]; then
  SEAM_ADVERTISE=$(hostname -i 2>/dev/null | cut -d' ' -f1)
  [ -z "$SEAM_ADVERTISE" ] || export SEAM_ADVERTISE
fi
# A coin node or registry with a certificate of the company's own authority.
if [ -s /run/secrets/extra_ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/extra_ca; fi
# The configuration we were started for, written by configure.ts; after half a minute the one there is must do.
trap 'exit 143' TERM
tries=0
while [ -n "${SEAM_CONFIG_SUM:-}" ] && [ "$1" != deploy/configure.ts ] && [ "$tries" -lt 150 ]; do
  [ "$(cat "$SEAM_RUN_DIR/configured" 2>/dev/null)" != "$SEAM_CONFIG_SUM" ] || break
  tries=$((tries + 1))
  sleep 0.2
done
exec node --disable-warning=ExperimentalWarning "$@"
