#!/bin/sh
# Makes the edge's certificate with openssl: a CA of its own and a leaf it signs, or a new leaf when the old one runs out,
# has other names, or FORCE is set. Otherwise it does nothing. The pair is put in place by one rename of the link `live`,
# so that Envoy, which watches for that, never sees a key without its certificate. Needs no root.
#
# `certs.sh own` puts in place what comes in: leaf, chain and key, PEM. Such a one is left alone afterwards, whatever is set:
# Compose runs this at every `up`.
#
# CERTS (/certs) and CA (/ca): where they are kept; the edge needs the first only.   EDGE_HOST: your names, by commas.
# LEAF_DAYS (90)   RENEW_DAYS (30): renewed this long before the end.   CERT_OWNER: uid:gid that Envoy runs as, if not you.
set -eu
umask 077
CERTS=${CERTS:-/certs}
CA=${CA:-/ca}
LEAF_DAYS=${LEAF_DAYS:-90}
RENEW_DAYS=${RENEW_DAYS:-30}
names=$(echo $(printf %s "${EDGE_HOST:-}" | tr ',' ' ') localhost envoy)
live=$CERTS/live
authority='Munjigi local CA'

# Two at once (two machines, one volume) would mix their files: the first to make this folder works, the other waits.
mkdir -p "$CERTS" "$CA"
work=$CA/.work
tries=0
until mkdir "$work" 2>/dev/null; do
  tries=$((tries + 1))
  # One that was killed leaves its folder behind; nobody needs half a minute.
  [ "$tries" -lt 150 ] || { rm -rf "$work"; tries=0; continue; }
  sleep 0.2 2>/dev/null || sleep 1
done
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

valid_for() { # FILE DAYS
  [ -s "$1" ] && openssl x509 -in "$1" -noout -checkend "$(($2 * 86400))" >/dev/null 2>&1
}

has_names() { # CERTIFICATE: its names are these, no fewer and no others
  has=$(openssl x509 -in "$1" -noout -text | grep -o 'DNS:[^, ]*' | sort -u)
  [ "$has" = "$(for name in $names; do echo "DNS:$name"; done | sort -u)" ]
}

# One that was killed between the two renames of make_ca leaves a new key beside the old certificate.
is_pair() { # KEY CERTIFICATE
  key=$(openssl pkey -passin pass: -in "$1" -pubout 2>/dev/null) &&
    [ "$key" = "$(openssl x509 -in "$2" -noout -pubkey 2>/dev/null)" ]
}

# The CA may vouch for these names only: whoever steals it cannot pass for a bank with those who trust it. (Addresses are
# not constrained: BoringSSL, hence Bun, refuses a CA that tries.)
make_ca() {
  constraints=critical
  for name in $names; do constraints="$constraints,permitted;DNS:$name"; done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha256 -nodes -days 3650 \
    -subj "/O=Munjigi/CN=$authority" -keyout "$work/ca.key" -out "$work/ca.crt" \
    -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    -addext "nameConstraints=$constraints" 2>"$work/errors" || fail
  mv -f "$work/ca.key" "$CA/ca.key"
  mv -f "$work/ca.crt" "$CA/ca.crt"
  [ ! -e "$live/ca.crt" ] || echo "a new CA was made: clients must be given the new ca.crt"
}

make_leaf() { # FOLDER
  # Clients look at the names below only. A subject has at most 64 characters.
  subject=${names%% *}
  [ ${#subject} -le 64 ] || subject=localhost
  alternatives=IP:127.0.0.1,IP:::1
  for name in $names; do alternatives=$alternatives,DNS:$name; done
  printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth \
    subjectKeyIdentifier=hash authorityKeyIdentifier=keyid "subjectAltName=$alternatives" >"$work/extensions"
  {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "/CN=$subject" \
      -keyout "$1/tls.key" -out "$work/request" &&
      openssl x509 -req -in "$work/request" -CA "$CA/ca.crt" -CAkey "$CA/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -days "$LEAF_DAYS" -sha256 -extfile "$work/extensions" -out "$1/tls.crt"
  } 2>"$work/errors" || fail
  cp "$CA/ca.crt" "$1/ca.crt"
  chmod 0644 "$1/ca.crt"
}

take_own() { # FOLDER
  [ ! -t 0 ] || { echo 'send leaf, chain and key to standard input' >&2; exit 1; }
  cat >"$work/pem"
  sed -n '/-BEGIN CERTIFICATE-/,/-END CERTIFICATE-/p' "$work/pem" >"$work/tls.crt"
  sed -n '/-BEGIN .*PRIVATE KEY-/,/-END .*PRIVATE KEY-/p' "$work/pem" >"$work/tls.key"
  if ! is_pair "$work/tls.key" "$work/tls.crt" || ! valid_for "$work/tls.crt" 0 || ! envoy_reads "$work/tls.crt"; then
    echo 'not taken: the first certificate and the key must be a pair, RSA or ECDSA, not expired, in PEM, without a passphrase' >&2
    exit 1
  fi
  mkdir "$1"
  cp "$work/tls.crt" "$work/tls.key" "$1"
}

envoy_reads() { # CERTIFICATE: Ed25519 it does not
  openssl x509 -in "$1" -noout -text | grep -Eq 'Public Key Algorithm: (rsaEncryption|id-ecPublicKey)'
}

fail() {
  cat "$work/errors" >&2
  exit 1
}

# The folders that this script has made, newest first: others are not its to delete, whatever begins with v-.
folders() {
  ls -dt "$CERTS"/v-* "$CERTS"/own-* 2>/dev/null | grep -E '/(v|own)-[0-9]{8}T[0-9]{6}Z-[0-9]+$'
}

# Ours is what our CA has signed, in a folder of ours: one's own may have been copied into that. Where there is no certificate
# to read, nothing can be lost.
is_ours() {
  issuer=$(openssl x509 -in "$live/tls.crt" -noout -issuer 2>/dev/null) || return 0
  case $issuer in *"$authority"*) ;; *) return 1 ;; esac
  folders | grep '/v-' | grep -qxF "$CERTS/$(basename "$(readlink "$live")")"
}

publish() { # FOLDER
  chmod 0600 "$1/tls.key"
  chmod 0644 "$1/tls.crt"
  chmod 0755 "$1" "$CERTS"
  [ -z "${CERT_OWNER:-}" ] || chown -R "$CERT_OWNER" "$1"
  ln -sf "$(basename "$1")" "$CERTS/.live"
  # Over a link to a folder, plain `mv` would move into that folder: -T says no with GNU, -h with BSD.
  mv -Tf "$CERTS/.live" "$live" 2>/dev/null || mv -fh "$CERTS/.live" "$live"
  # The one before stays for a moment: Envoy may just be reading it.
  folders | tail -n +3 | while read -r old; do rm -rf "$old"; done
}

stamp=$(date -u +%Y%m%dT%H%M%SZ)-$$
if [ "${1:-}" = own ]; then
  take_own "$CERTS/own-$stamp"
  publish "$CERTS/own-$stamp"
  echo "took the certificate: $(openssl x509 -in "$live/tls.crt" -noout -enddate)"
  exit 0
fi

if ! is_ours; then
  # `npm run up` hands out the CA's certificate all the same.
  [ -s "$CA/ca.crt" ] || make_ca
  echo "the certificate is not ours, left alone: $(openssl x509 -in "$live/tls.crt" -noout -enddate)"
  exit 0
fi

if [ -z "${FORCE:-}" ] && valid_for "$live/tls.crt" "$RENEW_DAYS" && has_names "$live/tls.crt" &&
  openssl verify -CAfile "$CA/ca.crt" "$live/tls.crt" >/dev/null 2>&1; then
  echo "the certificate is good: $(openssl x509 -in "$live/tls.crt" -noout -enddate)"
  exit 0
fi

valid_for "$CA/ca.crt" "$LEAF_DAYS" && is_pair "$CA/ca.key" "$CA/ca.crt" || make_ca
version=$CERTS/v-$stamp
mkdir "$version"
make_leaf "$version"
if ! openssl verify -CAfile "$CA/ca.crt" "$version/tls.crt" >/dev/null 2>&1; then
  # A new name, for which the old CA may not vouch.
  make_ca
  make_leaf "$version"
fi
publish "$version"
echo "made a certificate for $names: $(openssl x509 -in "$live/tls.crt" -noout -enddate)"
