#!/bin/sh
# SPDX-License-Identifier: MIT
# A Debian package from the same files as install.sh: deploy/debian/build.sh WHEEL FOLDER
# It holds the wheel and deploy/; installing it runs install.sh, which makes /opt/xjrelay of the wheel and of what
# the wheel needs (pip's usual settings count: PIP_INDEX_URL, PIP_FIND_LINKS).
set -eu
[ $# = 2 ] || { echo "Usage: build.sh WHEEL FOLDER" >&2; exit 2; }
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
version=$(basename "$1" | sed -n 's/^xjrelay-\([^-]*\)-.*\.whl$/\1/p')
[ -n "$version" ] || { echo "build.sh: $1 is no wheel of xjrelay" >&2; exit 1; }
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"
share=$tree/usr/share/xjrelay
mkdir -p "$share" "$tree/DEBIAN"
cp "$1" "$share/"
cp -R "$here/.." "$share/deploy"
sed "s/@VERSION@/$version/" "$here/control" >"$tree/DEBIAN/control"
for script in postinst prerm postrm; do
    install -m 0755 "$here/$script" "$tree/DEBIAN/$script"
done
find "$tree" -type d -exec chmod 0755 {} +
find "$share" -type f ! -name '*.sh' -exec chmod 0644 {} +
dpkg-deb --root-owner-group --build "$tree" "$2/xjrelay_${version}_all.deb"
