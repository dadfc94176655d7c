# SPDX-License-Identifier: MIT
"""The window: without a display first, then under Xvfb."""
