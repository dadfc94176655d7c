# SPDX-License-Identifier: MIT
"""Self-hosted messaging: XMPP's model as JSON stanzas over TCP, on Twisted."""

__version__ = "0.1.0"
