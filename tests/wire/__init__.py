# SPDX-License-Identifier: MIT
"""What is said, proved without a network."""
