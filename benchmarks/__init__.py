# SPDX-License-Identifier: MIT
"""What it costs: the load generator's driver, the servers it drives, the tables it writes."""
