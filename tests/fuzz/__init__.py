# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of whatever reads what strangers send: ``make fuzz``."""
