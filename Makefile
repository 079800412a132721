# SPDX-License-Identifier: AGPL-3.0-or-later
# Every target does its own set-up, once. `make help` lists them.
PYTHON := .venv/bin/python
FAST := not slow and not kafka and not engine and not media and not rtsp and not browser

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo demo-stop test test-fast check bench bench-main lock

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | column -t -s '|'

setup: ## what users need, into .venv
	@infra/setup run

setup-test: ## what tests need, into .venv
	@infra/setup test

demo: setup ## a small town from its cameras to a trace; leaves the stack running (ARGS=--stop ends it)
	@.venv/bin/passage demo $(ARGS)

demo-stop: setup ## end what `make demo` left running
	@.venv/bin/passage down --site build/demo/site.toml

test: setup-test ## every test
	@$(PYTHON) -m pytest $(ARGS)

test-fast: setup-test ## the tests that need no server: a minute
	@$(PYTHON) -m pytest -n 2 -m "$(FAST)" $(ARGS)

check: setup-test ## lint, formatting, types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q .
	@.venv/bin/mypy

bench: setup-test ## every benchmark, into build/bench/*.json
	@failed=; for file in tests/bench/[a-z]*.py; do echo "== $$file"; $(PYTHON) $$file || failed="$$failed $$file"; done; \
		[ -z "$$failed" ] || { echo "not measured:$$failed" >&2; exit 1; }

bench-main: setup-test ## times of the demonstration and of the tests, into build/bench/main.json
	@$(PYTHON) tests/bench/main_job.py

lock: setup-test ## lock the requirements anew after a change of requirements/*.in
	@for level in bootstrap run test; do \
		.venv/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url \
			requirements/$$level.in -o requirements/$$level.txt; done
