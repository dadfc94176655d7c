#!/bin/sh
# SPDX-License-Identifier: MIT
# The second of two machines: the manager and a relay.
#   two.sh HOST-TWO HOST-ONE --secret FILE --certificate FILE --key FILE
# FILE of --secret is /etc/xjrelay/cluster.secret of the first machine. Further options are those of install.sh.
set -eu
[ $# -ge 2 ] || { echo "Usage: two.sh HOST-TWO HOST-ONE --secret FILE [options of install.sh]" >&2; exit 2; }
two=$1 one=$2
shift 2
exec "$(dirname "$0")/../install.sh" --programs "manager relay" --host "$two" --tracker "$one:5000" "$@"
