#!/bin/sh
# SPDX-License-Identifier: MIT
# The first of two machines: the tracker and a relay.
#   one.sh HOST-ONE --certificate FILE --key FILE
# Further options are those of install.sh. Then take /etc/xjrelay/cluster.secret to the second machine.
set -eu
[ $# -ge 1 ] || { echo "Usage: one.sh HOST-ONE [options of install.sh]" >&2; exit 2; }
one=$1
shift
exec "$(dirname "$0")/../install.sh" --programs "tracker relay" --host "$one" --tracker "$one:5000" "$@"
