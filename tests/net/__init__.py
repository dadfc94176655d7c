# SPDX-License-Identifier: MIT
"""How Twisted carries what is said."""
