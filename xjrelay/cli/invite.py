# SPDX-License-Identifier: MIT
"""``xj invite``: a link by which so many accounts may be made until some day.

Made with the cluster's secret and nothing else: no connection, no server. Whoever can read that file could
do worse than to invite, so no other permission is asked for.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from xjrelay.cli.options import Call, UsageError
from xjrelay.client.target import INVITATION
from xjrelay.security import invitations
from xjrelay.security.secret import SecretError, default_path, read_secret

DAY = 86400.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj invite``."""
    where = "default $XDG_CONFIG_HOME/xjrelay/cluster.secret"
    parser.add_argument("--cluster-secret-file", type=Path, metavar="FILE", help=where)
    parser.add_argument("--count", type=int, default=1, metavar="N", help="accounts it makes, default 1")
    parser.add_argument("--days", type=float, default=7.0, metavar="D", help="days it is good for, default 7")


async def invite(call: Call) -> int:
    """Make one; the link names the tracker as the invited reach it, so say ``--tracker``."""
    expires = time.time() + call.args.days * DAY
    try:
        secret = read_secret(call.args.cluster_secret_file or default_path(call.environ))
        code = invitations.invite(secret.keys(invitations.PURPOSE)[0], call.args.count, expires)
    except SecretError as error:
        call.screen.error(str(error))
        return 1
    except ValueError as error:
        raise UsageError(str(error)) from None
    link = f"{call.url()}{INVITATION}{code}"
    call.screen.show(link, link=link, code=code, count=call.args.count, expires=int(expires))
    return 0
