# SPDX-License-Identifier: MIT
"""Tests of the client library."""
