# SPDX-License-Identifier: MIT
"""Tests of the xj command."""
