#!/bin/sh
# SPDX-License-Identifier: MIT
# Gives the programs a certificate, the first or a renewed one: links that are open keep the old one, the next
# gets the new. An ACME client calls it after each renewal, for example:
#   certbot certonly -d chat.example.org --deploy-hook \
#     '/opt/xjrelay/bin/xj-renewed "$RENEWED_LINEAGE/fullchain.pem" "$RENEWED_LINEAGE/privkey.pem"'
set -eu
[ $# = 2 ] || { echo "Usage: xj-renewed CERTIFICATE KEY" >&2; exit 2; }
tls=${XJ_ROOT:-}/etc/xjrelay/tls
mkdir -p "$tls"
chmod 0750 "$tls"
# Put there whole, under another name first: a program may read at this moment.
for pair in "certificate.pem=$1" "key.pem=$2"; do
    name=${pair%%=*}
    temporary=$(mktemp "$tls/$name.XXXXXX")
    cat "${pair#*=}" >"$temporary"
    chmod 0640 "$temporary"
    [ -n "${XJ_ROOT:-}" ] || chgrp xjrelay "$temporary" "$tls"
    mv "$temporary" "$tls/$name"
done
if [ -z "${XJ_ROOT:-}" ] && [ -d /run/systemd/system ]; then
    systemctl reload 'xj*.service' 2>/dev/null || true # those that run
fi
