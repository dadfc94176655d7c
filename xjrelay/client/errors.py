# SPDX-License-Identifier: MIT
"""What can go wrong for an application, one class each.

Every error is a :class:`ClientError` whose text is one sentence for a person. ``retryable`` says
whether the same call may succeed later with nothing changed by the caller. Imports nothing.
"""

from __future__ import annotations


class ClientError(Exception):
    """The base of everything this library raises on purpose."""

    retryable = False


class BadAddress(ClientError):
    """A username or a tracker's address that can't be one."""


class BadMessage(ClientError):
    """A message that can't be sent as it is: too large, an id too long or in use."""


class Refused(ClientError):
    """A server understood and said no.

    Args:
        code: why, in HTTP's meaning (protocol, section 2).
        msg: the server's own sentence.
    """

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg or f"refused with code {code}")
        self.code = code
        self.msg = msg

    @property
    def retryable(self) -> bool:  # type: ignore[override]  # a class attribute in the others
        """True for "not now" and "slow down"."""
        return self.code in (429, 503)


class Unreachable(ClientError):
    """Nobody answers at an address.

    Args:
        program: what was expected there: ``tracker``, ``manager`` or ``relay``.
        host: where.
        port: where.
        why: the network's reason, if there is one worth telling.
    """

    retryable = True

    def __init__(self, program: str, host: str, port: int, why: str = "") -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        reason = f" ({why})" if why else ""
        super().__init__(f"nobody answers at {where}{reason}: is the {program} running?")


class Untrusted(ClientError):
    """TLS doesn't come about: a certificate that isn't believed, or an end that speaks none.

    Args:
        program: what was expected there.
        where: host and port.
        why: in a few words.
    """

    def __init__(self, program: str, where: str, why: str) -> None:
        super().__init__(f"no TLS with the {program} at {where}: {why}")


class Insecure(ClientError):
    """Going on would mean to leave TLS, which is never done unasked."""


class NoTracker(ClientError):
    """None of the trackers answers."""

    retryable = True


class NoManager(ClientError):
    """The trackers know of no manager, or the one they know doesn't answer."""

    retryable = True


class NoRelay(ClientError):
    """No relay is up, or the one we were given doesn't answer."""

    retryable = True


class TimedOut(ClientError):
    """No answer came in time."""

    retryable = True


class Disconnected(ClientError):
    """The link that the answer would have come over is gone, or the client was closed."""

    retryable = True


class Replaced(Disconnected):
    """The same user and resource logged in elsewhere, which ended this session."""

    retryable = False


class OutboxFull(ClientError):
    """Too much is on its way already: await some receipts first."""

    retryable = True


class OutboxBroken(ClientError):
    """The outbox's file can't be used, or can't take this message: it was not sent.

    Where the disk broke while the message was being brought to it, it may still go out when the file
    is next opened.
    """


class ProtocolError(ClientError):
    """A server broke the protocol; the link was closed."""

    retryable = True
