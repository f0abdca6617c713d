# Each target sets up the virtual environment that it needs. `make help` lists them.
#
#   VENV=dir      where the environment lives (.venv)
#   PYTHON=exe    the Python that makes it, 3.11 or newer (python3)
#   ARGS="…"      passed on: make test ARGS="tests/app -x", make serve ARGS="--port 8001"
#   WORKERS=n     how many processes share the tests (2)

VENV ?= .venv
PYTHON ?= python3
TORCH ?= torch==2.13.0
ARGS ?=
WORKERS ?= 2
# What is asked of one target is not meant for a make that its commands start.
unexport ARGS
MAKEOVERRIDES :=

BIN := $(VENV)/bin
RUN := $(VENV)/.stamp-run
DEV := $(VENV)/.stamp-dev
DOCS := $(VENV)-docs
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# The mirrors of an index that lack a package are worth a warning to pip, not to a reader: -qq.
INSTALL := $(PIP) install -qq --progress-bar off

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: serve test test-deep check evaluate bench docs clean help

serve: $(RUN) ## start Milieu, with the embedded model, on http://127.0.0.1:8000
	@$(BIN)/milieu serve $(ARGS)

test: $(DEV) ## run the tests, those against the real vLLM too
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

test-deep: $(DEV) ## run what takes longer: kills, soaks, fuzzing, every benchmark once
	@$(BIN)/python -m pytest -m deep $(ARGS)

check: $(DEV) ## format, lint, types, who imports whom
	@echo "ruff format" && $(BIN)/ruff format --check --quiet . \
		|| { echo "to repair: $(BIN)/ruff format ." >&2; exit 1; }
	@echo "ruff check" && $(BIN)/ruff check --quiet .
	@echo "mypy" && $(BIN)/mypy --no-error-summary
	@echo "lint-imports" && $(BIN)/lint-imports --no-logo

evaluate: $(RUN) ## measure how near the model's answers come to people's, with a report
	@$(BIN)/milieu evaluate $(ARGS)

bench: $(RUN) ## measure what Milieu adds to the latency of vLLM
	@$(BIN)/python -m benchmarks.overhead $(ARGS)

docs: $(DOCS)/.stamp ## build the documentation as a site, in build/site; a broken link fails
	@$(DOCS)/bin/python -m reports.notebook_pages docs/examples
	@$(DOCS)/bin/zensical build --clean --strict

clean: ## remove the virtual environment and every cache and build output
	@rm -rf $(VENV) $(DOCS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		build dist *.egg-info milieu_client/build milieu_client/*.egg-info
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A stamp is written after the last step, so an interrupted set-up is taken up again. `venv` repairs
# an environment that was left half made, and pip skips what is already there.
$(RUN): requirements/cpu.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Milieu needs Python 3.11 or newer; '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>&1 || true). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@echo "set-up 1/4  virtual environment $(VENV)"
	@rm -f $(RUN) $(DEV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "set-up 2/4  $(TORCH) (the largest download, once)"
	@$(INSTALL) -c requirements/cpu.lock $(TORCH)
	@echo "set-up 3/4  vLLM and the rest of requirements/cpu.lock"
	@$(INSTALL) --no-deps -r requirements/cpu.lock
	@echo "set-up 4/4  milieu"
	@# `compat` puts this folder itself on the path, so a package added later is found as well.
	@$(INSTALL) --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch $@

$(DEV): $(RUN) requirements/dev.lock
	@echo "set-up      tools of requirements/dev.lock"
	@$(INSTALL) --no-deps -r requirements/dev.lock
	@touch $@

# The site's tools are few and need nothing of Milieu, so they have an environment of their own.
$(DOCS)/.stamp: requirements/docs.lock
	@echo "set-up      environment $(DOCS) of requirements/docs.lock"
	@rm -f $@
	@$(PYTHON) -m venv --clear $(DOCS)
	@$(DOCS)/bin/python -m pip --disable-pip-version-check --no-input install -qq --no-deps \
		-r requirements/docs.lock
	@touch $@
