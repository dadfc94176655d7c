# SPDX-License-Identifier: MIT
"""What setup.cfg can't say: with XJRELAY_COMPILE=1 the fast lane's reading is compiled as well.

    XJRELAY_COMPILE=1 pip install .     # needs a C compiler and Python's headers

The pure form is always there, and the same without it.
"""

import os

from setuptools import Extension, setup

SCAN = Extension("xjrelay.wire._scan", ["xjrelay/wire/_scan.c"], extra_compile_args=["-O3"])

setup(ext_modules=[SCAN] if os.environ.get("XJRELAY_COMPILE") == "1" else [])
