# SPDX-License-Identifier: MIT
"""The relay: carries messages between users, and meshes with the other relays."""
