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
exec node --disable-warning=ExperimentalWarning "$@"
