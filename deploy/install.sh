#!/bin/sh
# SPDX-License-Identifier: MIT
# Sets xjrelay up on a machine with systemd: the user, the programs, their configuration, the secret,
# the units, and a backup every night. Run it again after an update, or with other options: what an
# operator may have changed (/etc/xjrelay/*.toml, the secret) is never overwritten.
set -eu
umask 022

usage() {
    cat <<'USAGE'
Usage: install.sh [options]

  --programs "NAME..."   node (the default: a whole suite), or of tracker, manager, relay, relay-1, relay-2...
  --relays N             relays of a node (default 2)
  --host NAME            where others reach this machine; without, it serves this machine only
  --certificate FILE     for --host: a PEM file, the chain after the certificate
  --key FILE             its key
  --authority FILE       who signed the certificates of the others; default: the system's authorities
  --allow-plaintext      for --host: without TLS, where nobody can read along
  --tracker HOST:PORT    for manager and relay: where the tracker is; default: on this machine
  --secret FILE          the cluster's secret, from another machine of the cluster; made when absent
  --from WHAT            what pip installs: a wheel, a folder, a requirement; default: this checkout
  --root DIR             only write the files, below DIR; nothing is installed or started
  --no-start             install everything, start nothing
USAGE
}

die() {
    echo "install.sh: $*" >&2
    exit "${status:-1}"
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
programs=node relays=2 host='' certificate='' key='' authority='' plaintext='' tracker='' secret='' root='' start=yes
from=xjrelay
[ -f "$here/../setup.cfg" ] && from=$(CDPATH='' cd -- "$here/.." && pwd)

while [ $# -gt 0 ]; do
    case $1 in
        --allow-plaintext) plaintext=yes; shift; continue ;;
        --no-start) start=''; shift; continue ;;
        -h | --help) usage; exit 0 ;;
    esac
    [ $# -ge 2 ] || { status=2; die "$1: unknown, or without its value; see --help"; }
    case $1 in
        --programs) programs=$2 ;;
        --relays) relays=$2 ;;
        --host) host=$2 ;;
        --certificate) certificate=$2 ;;
        --key) key=$2 ;;
        --authority) authority=$2 ;;
        --tracker) tracker=$2 ;;
        --secret) secret=$2 ;;
        --from) from=$2 ;;
        --root) root=$2 ;;
        *) status=2; die "$1: unknown; see --help" ;;
    esac
    shift 2
done

etc=$root/etc/xjrelay
opt=$root/opt/xjrelay

check() {
    status=2
    for name in $programs; do
        case $name in
            node | tracker | manager | relay | relay-*[0-9]) ;;
            *) die "--programs: there is no $name" ;;
        esac
    done
    [ -z "$host" ] || [ -n "$certificate$plaintext" ] || die "--host needs --certificate and --key, or --allow-plaintext"
    [ -z "$certificate" ] || [ -n "$key" ] || die "--certificate needs --key"
    status=1
    [ -n "$root" ] && return
    [ "$(id -u)" = 0 ] || die "this has to be run as root"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || die "Python 3.11 or later is needed"
    python3 -c 'import ensurepip, venv' 2>/dev/null || die "Python's venv is missing; apt-get install python3-venv"
}

# put MODE FILE: standard input becomes the file, unless it has that content already.
put() {
    mkdir -p "$(dirname "$2")"
    temporary=$(mktemp "$2.XXXXXX")
    cat >"$temporary"
    chmod "$1" "$temporary"
    if cmp -s "$temporary" "$2"; then rm "$temporary"; else mv "$temporary" "$2"; fi
    chmod "$1" "$2"
}

user() {
    put 0644 "$root/usr/lib/sysusers.d/xjrelay.conf" <"$here/sysusers.conf"
    [ -n "$root" ] && return
    id xjrelay >/dev/null 2>&1 && return
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers /usr/lib/sysusers.d/xjrelay.conf
    else
        useradd --system --user-group --home-dir /var/lib/xjrelay --no-create-home --shell /usr/sbin/nologin xjrelay
    fi
}

install_programs() {
    put 0755 "$opt/bin/xj-renewed" <"$here/renewed.sh"
    [ -n "$root" ] && return
    [ -x "$opt/bin/pip" ] || python3 -m venv "$opt"
    "$opt/bin/pip" --disable-pip-version-check --quiet install --upgrade "$from"
    ln -sf "$opt/bin/xj" /usr/local/bin/xj
    "$opt/bin/twistd" --help >/dev/null # writes the list of plugins, which the service user may not
}

write_secret() {
    [ -f "$etc/cluster.secret" ] && return
    if [ -n "$secret" ]; then
        put 0600 "$etc/cluster.secret" <"$secret"
    else
        made=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
        [ ${#made} = 64 ] || die "/dev/urandom gives nothing to make a secret of"
        echo "$made" | put 0600 "$etc/cluster.secret"
    fi
}

write_certificate() {
    [ -z "$certificate" ] || XJ_ROOT=$root "$opt/bin/xj-renewed" "$certificate" "$key"
    [ -z "$authority" ] || put 0644 "$etc/tls/authority.pem" <"$authority"
}

# configuration PROGRAM PORT: the program's TOML on standard output.
configuration() {
    echo "# Written by install.sh once, and yours since. Every option with what it means: docs/options.md."
    if [ -n "$host" ]; then
        if [ -n "$certificate" ]; then echo "listen = [\"tls:$2:interface=0.0.0.0\"]"; else echo "listen = [\"tcp:$2:interface=0.0.0.0\"]"; fi
        [ "$1" = tracker ] || echo "advertise = [\"$host:$2\"]"
    else
        echo "listen = [\"tcp:$2\"]"
    fi
    case $1 in
        node) echo "relays = $relays" ;;
        manager | relay*) echo "tracker = [\"$(tracker_place)\"]" ;;
    esac
    if [ -n "$host" ] && [ -n "$certificate" ]; then
        echo 'tls-certificate = "/etc/xjrelay/tls/certificate.pem"'
        echo 'tls-key = "/etc/xjrelay/tls/key.pem"'
    elif [ -n "$host" ]; then
        echo 'allow-plaintext = true'
    fi
    [ -z "$authority" ] || echo 'tls-authority = "/etc/xjrelay/tls/authority.pem"'
}

tracker_place() {
    place=$tracker
    if [ -z "$place" ] && [ -n "$certificate" ]; then place=$host:5000; fi
    if [ -n "$certificate" ]; then echo "tls:${place#tls:}"; else echo "${place:-127.0.0.1:5000}"; fi
}

port() {
    case $1 in
        node | tracker) echo 5000 ;;
        manager) echo 5001 ;;
        relay) echo 5002 ;;
        relay-*) echo $((5001 + ${1#relay-})) ;;
    esac
}

write_configuration() {
    for name in $programs; do
        [ -f "$etc/$name.toml" ] || configuration "$name" "$(port "$name")" | put 0644 "$etc/$name.toml"
    done
}

write_units() {
    for unit in "$here"/systemd/*; do
        put 0644 "$root/etc/systemd/system/$(basename "$unit")" <"$unit"
    done
}

units() {
    for name in $programs; do
        case $name in
            relay-*) echo "xjrelay@${name#relay-}.service" ;;
            relay) echo xjrelay.service ;;
            *) echo "xj$name.service" ;;
        esac
    done
}

serve() {
    [ -z "$root" ] && [ -d /run/systemd/system ] || return 0
    systemctl daemon-reload
    [ -n "$start" ] || return 0
    # A program is started when it is registered, which may take another machine: nobody waits for that here.
    # shellcheck disable=SC2046
    systemctl --quiet enable $(units) xjbackup.timer
    # shellcheck disable=SC2046
    systemctl --no-block restart $(units) xjbackup.timer
    echo "Started: $(units | tr '\n' ' '). Look: systemctl status 'xj*'; sudo xj doctor --data-dir /var/lib/xjrelay --cluster-secret-file /etc/xjrelay/cluster.secret"
}

check
user
install_programs
write_secret
write_certificate
write_configuration
write_units
serve
