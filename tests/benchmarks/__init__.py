# SPDX-License-Identifier: MIT
"""Of the benchmarks: what compares and what is said, in memory."""
