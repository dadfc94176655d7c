# SPDX-License-Identifier: MIT
# What a person types. `make run` serves, `make test` runs every check; both make .venv first.

# The tests each runner gets. Both run all there are (`make pytest PYTEST_TESTS=tests`); those of real
# processes take minutes, so that `make test` runs them once, beside all else: they mostly wait.
TRIAL_TESTS ?= tests
PYTEST_TESTS ?= tests --ignore=tests/system
IN_MEMORY = $(filter-out tests/system/,$(sort $(dir $(wildcard tests/*/__init__.py)))) $(wildcard tests/test_*.py)

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# How long `make fuzz` runs, in all; `make test` takes the default.
SECONDS ?= 66

.PHONY: venv run test everything_else lint types trial trial_system trial_memory pytest compiled fuzz dist prove prove-sandbox bench bench-peers bench-check docs news news-draft clean

venv: .venv/.installed

run: venv
	$(BIN)/twistd --nodaemon --pidfile= xjnode

# What is installed must not change under tests that run, so that all of it goes first.
test: lint .venv/.installed-fuzz .venv/.installed-docs
	$(MAKE) --no-print-directory -j2 --output-sync=target trial_system everything_else

everything_else:
	$(MAKE) --no-print-directory -j1 trial_memory pytest types compiled fuzz dist docs

lint: .venv/.installed-test
	$(BIN)/ruff check .

types: .venv/.installed-test
	$(BIN)/mypy

trial: .venv/.installed-test
	@mkdir -p build
	$(BIN)/trial --temp-directory=build/trial $(TRIAL_TESTS)

trial_system: .venv/.installed-test
	@mkdir -p build
	$(BIN)/trial --temp-directory=build/trial-system tests/system

trial_memory: .venv/.installed-test
	@mkdir -p build
	$(BIN)/trial --temp-directory=build/trial-memory $(IN_MEMORY)

pytest: .venv/.installed-test
	$(BIN)/pytest $(PYTEST_TESTS)

# The fast lane compiled (docs/performance/steps.md), in a folder of its own, and held to the same tests.
COMPILED_TESTS = tests/wire/test_fast.py tests/wire/test_spelling.py tests/fuzz/test_targets.py tests/servers/test_relay.py \
	tests/servers/test_relay_delivery.py tests/servers/test_relay_lane.py
compiled: .venv/.installed-test
	@rm -rf build/compiled build/lib.* build/temp.*; mkdir -p build/compiled
	@if command -v cc >/dev/null && $(BIN)/python -c \
	'import os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then \
		XJRELAY_COMPILE=1 $(PIP) install --no-deps --target build/compiled . && \
		cp -r tests docs conftest.py setup.cfg build/compiled && cd build/compiled && \
		../../$(BIN)/python -c 'from xjrelay.wire import fast; assert fast.FORM == "compiled", fast' && \
		../../$(BIN)/python -m pytest -q $(COMPILED_TESTS); \
	else \
		echo "no C compiler, or no headers of Python: the compiled form is not tested here"; test -z "$$CI"; \
	fi

# Made-up inputs for whatever reads strangers' bytes: at least 60 seconds and 200,000 of them.
fuzz: .venv/.installed-fuzz
	@mkdir -p build/fuzz
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# A wheel and an sdist, made twice and compared, then tried in clean environments: on every Python there
# is from 3.11 up, and with the oldest Twisted that setup.cfg allows.
dist: .venv/.installed-test
	rm -rf build/dist build/lib
	$(BIN)/python -m tools.build build/dist
	$(BIN)/python -m tools.install build/dist

# The promise of docs/delivery.md at length, a quarter of an hour: killed processes, then a bad network, then
# both, then a mesh in parts. tests/system/test_prove.py is the short form. Data and logs are in build/prove.
PROVE = $(BIN)/xj prove --local --keep build/prove
prove: venv
	rm -rf build/prove && mkdir -p build/prove
	$(PROVE)/killed --rounds 100 --users 100 --rate 500 --seconds 1.5
	$(PROVE)/away --rounds 20 --users 100 --rate 500 --seconds 1.5 --away 10
	$(PROVE)/network --seconds 120 --users 100 --rate 200 \
		--delay 0.2 --jitter 0.1 --cut 20 --stall 60 --stall-for 30
	$(PROVE)/both --rounds 15 --users 60 --rate 300 --away 8 --seconds 2 \
		--delay 0.05 --jitter 0.05 --cut 10 --stall 60 --stall-for 10
	namespaces=$$(test "$$(id -u)" = 0 && unshare --net true 2>/dev/null && echo --namespaces); \
	$(PROVE)/parted $$namespaces --rounds 5 --partition 20 --users 100 --rate 500

# The same promise in one process on a fake clock, a quarter of an hour: the test run has a sample of it.
prove-sandbox: venv
	$(BIN)/python -m xjrelay.sandbox.checker --seeds 1000
	$(BIN)/python -m xjrelay.sandbox.checker --every

# The site, of docs/ and the docstrings, in build/site/html; a warning is an error.
docs: .venv/.installed-docs
	$(BIN)/python -m tools.site build/site/source
	$(BIN)/sphinx-build -W --keep-going -q -d build/site/doctrees build/site/source build/site/html
	@echo "build/site/html/index.html"

# What changed, out of newsfragments/: to look at, and for good.
news-draft: .venv/.installed-docs
	$(BIN)/towncrier build --draft --version "$$($(BIN)/python -c 'import xjrelay; print(xjrelay.__version__)')"

news: .venv/.installed-docs
	$(BIN)/towncrier build --yes --version "$$($(BIN)/python -c 'import xjrelay; print(xjrelay.__version__)')"

# What a message costs: of ours alone, a few minutes; beside every peer that is installed, twenty, which writes the
# page, the figures and the pictures of docs/performance; and whether the hot path has become dearer than
# benchmarks/baseline.json says. The first two need a C compiler and OpenSSL's headers.
bench: venv
	$(BIN)/python -m benchmarks.run --curves

bench-peers: .venv/.installed-bench
	@mkdir -p build/bench
	@XJRELAY_COMPILE=1 $(PIP) install --no-deps --upgrade --target build/bench/compiled . || \
		echo "the compiled form can't be built, and isn't measured"
	$(BIN)/python -m benchmarks.run --peers --curves --report docs/performance
	$(BIN)/python -m benchmarks.plots docs/performance

bench-check: .venv/.installed-test
	$(BIN)/python -m benchmarks.check

clean:
	rm -rf build .venv *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/.made:
	@test -n "$(PYTHON)" || { echo "xjrelay needs Python 3.11 or later, and none was found; say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "xjrelay needs Python 3.11 or later, and $(PYTHON) is older" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: .venv/.made setup.cfg pyproject.toml
	$(PIP) install --editable .
	@touch $@

# Where atheris has no wheel there is nothing to install: the run says so, and fails only under CI.
.venv/.installed-fuzz: .venv/.installed-test
	@$(PIP) install --only-binary atheris --editable '.[fuzz]' || true
	@touch $@

.venv/.installed-docs: .venv/.installed
	$(PIP) install --editable '.[docs]'
	@touch $@

.venv/.installed-bench: .venv/.installed
	$(PIP) install --editable '.[bench]'
	@touch $@

.venv/.installed-test: .venv/.installed
	$(PIP) install --editable '.[test]'
	@mkdir -p build
	@touch $@
