# Papertrail. `make ask` works on a fresh machine with Python, make and git; `make help` says more.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
Q ?= how can a byte-level model skip tokens it does not need?

# A key in the environment changes nothing unless a model is named.
ifeq ($(PAPERTRAIL_CHAT_MODEL),)
unexport OPENAI_API_KEY OPENAI_BASE_URL PAPERTRAIL_CHAT_KEY
endif

# A foreign model server from npm, outside the project's own dependencies.
AIMOCK := @copilotkit/aimock@1.43.0
AIMOCK_CLI := $(VENV)/aimock/node_modules/@copilotkit/aimock/dist/cli.js

# Zotero's client for Python, which cannot be installed beside ours: it needs bibtexparser 1.
PYZOTERO := $(VENV)/pyzotero/bin/python

# The browser in which the page is tested.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

# The split that `make eval` asks, and the folder of its run.
SPLIT ?= dev
RUN ?= runs/$(SPLIT)

.PHONY: help ask app setup dev test test-slow test-model-server test-local-model require-gguf test-page eval check bench clean
help:
	@echo 'make ask Q="..."  answer a question from the bundled library'
	@echo 'make app          open the page'
	@echo 'make setup        connect a language model'
	@echo 'make test         run the tests'
	@echo 'make test-slow    tests that kill processes, mount disks or need other programs; more examples'
	@echo 'make test-model-server  the model edge against a foreign server (needs node and npm)'
	@echo 'make test-local-model  a GGUF file in the process (PAPERTRAIL_TEST_GGUF=/path)'
	@echo 'make test-page    the page in a real browser (needs Chromium)'
	@echo 'make eval         score the bundled questions (SPLIT=dev or test), report in $(RUN)'
	@echo 'make check        format, lint, types and layers'
	@echo 'make bench        measure against fixed points of comparison'
	@echo 'make clean        remove $(VENV) and what builds and tests leave'

# The environment passes the question on, so that quotes in it reach no shell.
ask: export PAPERTRAIL_MAKE_QUESTION = $(value Q)
ask: $(VENV)/.runtime
	@printf '%s' "$$PAPERTRAIL_MAKE_QUESTION" | $(BIN)/rag ask -

app: $(VENV)/.runtime
	@$(BIN)/rag app

setup: $(VENV)/.runtime
	@$(BIN)/rag setup

dev: $(VENV)/.dev

test: $(VENV)/.dev
	@env -u OPENAI_API_KEY -u OPENAI_BASE_URL -u PAPERTRAIL_CHAT_KEY -u PAPERTRAIL_CHAT_MODEL \
	  $(BIN)/python -m pytest --cov -n auto --maxprocesses 4 --dist loadfile

test-slow: $(VENV)/.dev $(VENV)/.pyzotero
	@env -u OPENAI_API_KEY -u OPENAI_BASE_URL -u PAPERTRAIL_CHAT_KEY -u PAPERTRAIL_CHAT_MODEL \
	  PAPERTRAIL_TEST_PYZOTERO=$(abspath $(PYZOTERO)) \
	  $(BIN)/python -m pytest -m "slow or hypothesis" --hypothesis-profile thorough

test-model-server: $(VENV)/.dev $(AIMOCK_CLI)
	@env -u OPENAI_API_KEY -u OPENAI_BASE_URL PAPERTRAIL_TEST_AIMOCK=$(AIMOCK_CLI) \
	  $(BIN)/python -m pytest -m model_server tests/test_model_server.py

test-local-model: require-gguf $(VENV)/.local
	@env -u OPENAI_API_KEY -u OPENAI_BASE_URL -u PAPERTRAIL_CHAT_KEY -u PAPERTRAIL_CHAT_MODEL \
	  $(BIN)/python -m pytest -m local_model tests/test_local_model.py

test-page: $(VENV)/.browser
	@env -u OPENAI_API_KEY -u OPENAI_BASE_URL -u PAPERTRAIL_CHAT_KEY -u PAPERTRAIL_CHAT_MODEL \
	  PAPERTRAIL_TEST_CHROMIUM="$(CHROMIUM)" $(BIN)/python -m pytest -m page tests/test_page_browser.py

# Quotes need no key. A run that was interrupted goes on.
eval: $(VENV)/.dev
	@env -u PAPERTRAIL_CHAT_MODEL $(BIN)/rag eval run --split $(SPLIT) --out $(RUN)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev
	@for script in benchmarks/*.py; do \
	  test -e "$$script" || continue; \
	  echo "$$script"; \
	  $(BIN)/python "$$script" || exit 1; \
	done

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find rag eval prompts tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each step runs once, and again when its inputs change.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/.made
	@echo 'Installing into $(VENV). This happens once and takes a minute or two.' >&2
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.made
	@echo 'Installing into $(VENV) with the development tools. This happens once.' >&2
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.runtime

require-gguf:
	@test -f "$(PAPERTRAIL_TEST_GGUF)" || { echo 'Set PAPERTRAIL_TEST_GGUF to the GGUF file of a small instruct model, such as Qwen2.5 1.5B from huggingface.co.' >&2; exit 2; }

# It builds from source.
$(VENV)/.local: $(VENV)/.dev
	@echo 'Building llama-cpp-python, once. This takes about ten minutes.' >&2
	@$(PIP) -e '.[local]'
	@touch $@

# Playwright drives the system's browser and installs none of its own.
$(VENV)/.browser: $(VENV)/.dev
	@test -n "$(CHROMIUM)" || { echo 'No Chromium found. Install one, or set CHROMIUM=/path.' >&2; exit 2; }
	@$(PIP) 'playwright>=1.49,<2'
	@touch $@

$(VENV)/.pyzotero: | $(VENV)/.made
	@$(BIN)/python -m venv --clear $(VENV)/pyzotero
	@$(PYZOTERO) -m pip install -qq --disable-pip-version-check 'pyzotero>=1.16,<2'
	@touch $@

$(AIMOCK_CLI): | $(VENV)/.made
	@command -v npm >/dev/null || { echo 'This test needs npm. Install Node.js.' >&2; exit 2; }
	@npm install --silent --no-audit --no-fund --prefix $(VENV)/aimock $(AIMOCK)

# The first suitable Python that can create environments. PYTHON=... names another.
$(VENV)/.made:
	@lacking=; \
	for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	    2>/dev/null || continue; \
	  if $$name -c 'import ensurepip, venv' 2>/dev/null; then \
	    $$name -m venv --clear $(VENV) && touch $@; exit; \
	  fi; \
	  lacking="$${lacking:-$$name}"; \
	done; \
	if [ -n "$$lacking" ]; then \
	  echo "$$lacking cannot create environments. On Debian and Ubuntu, run:" >&2; \
	  echo "    sudo apt install $$lacking-venv" >&2; \
	else \
	  echo 'No Python 3.11 to 3.14 found. Set PYTHON=/path/to/python.' >&2; \
	fi; \
	exit 2
