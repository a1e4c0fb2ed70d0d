# Two commands matter: `make book` and `make test`. `make help` lists the rest.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --no-input --disable-pip-version-check
# A candidate is run, not only looked up: a pyenv shim may exist and fail.
CANDIDATES := $(or $(PYTHON),python3.12 python3.13 python3)
FIND_PYTHON = for python in $(CANDIDATES); do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))' \
		2>/dev/null && { echo "$$python"; exit; }; done; \
	echo "No Python 3.12 or later among: $(CANDIDATES). Try: make PYTHON=/path/to/python3.12 book" >&2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup book smoke serve test chapters units lint bench mutants binder version lock clean
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 14

setup: $(VENV)/.installed ## make .venv from the lock (the other targets do it when needed)

book: $(VENV)/.installed _build/cache/.warm ## execute what changed and render _build/html/index.html
	@$(BIN)/market-book build

smoke: $(VENV)/.installed ## the same with small draws, into _build/html-smoke
	@$(BIN)/market-book build --profile smoke

serve: ## show the rendered book at http://localhost:8000
	@test -e _build/html/index.html || { echo "nothing to serve yet: make book" >&2; exit 1; }
	$(BIN)/python -m http.server --bind localhost --directory _build/html 8000

test: lint ## lint, then unit, contract, smoke and page tests
	@$(MAKE) --no-print-directory --jobs=2 chapters units

# Side by side, for each leaves a core idle at times; what units prints comes when they end.
chapters: $(VENV)/.installed
	@$(BIN)/python -m pytest tests/smoke tests/pages

units: $(VENV)/.installed
	@mkdir -p _build
	@$(BIN)/python -m pytest --ignore=tests/smoke --ignore=tests/pages >_build/units.log 2>&1; \
		status=$$?; cat _build/units.log; exit $$status

lint: $(VENV)/.installed ## ruff (notebooks too), numpydoc, imports, types and spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/numpydoc lint helpers/*/*.py
	@mkdir -p _build
	@$(BIN)/lint-imports --no-cache >_build/imports.log || { cat _build/imports.log; exit 1; }
	@$(BIN)/mypy --no-error-summary --cache-dir _build/mypy
	@$(BIN)/codespell

bench: $(VENV)/.installed ## time the source's way against ours, write the performance page, check the targets
	@$(BIN)/python tests/benchmarks/cities.py
	@$(BIN)/python tests/benchmarks/mix.py
	@$(BIN)/python tests/benchmarks/multilevel.py
	@$(BIN)/python tests/benchmarks/markets.py
	@$(BIN)/python tests/benchmarks/stores.py
	@$(BIN)/python tests/benchmarks/performance_page.py
	@$(BIN)/python -m pytest tests/benchmarks/check_records.py

mutants: $(VENV)/.installed ## plant errors in the helpers and see which test catches each
	@$(BIN)/python tests/support/mutations.py

binder: $(VENV)/.installed _build/cache/.warm ## every chapter with its defaults in Binder's 2 GB (root on Linux)
	@$(BIN)/python tests/support/binder.py

# In processes of their own and before the chapters, which would keep the compiler's memory.
_build/cache/.warm: $(VENV)/.locked | $(VENV)/.installed
	@echo "compiling the models that chapters share (some minutes, once)"
	@$(BIN)/market-book warm
	@touch $@

version: $(VENV)/.installed ## bring the version of pyproject.toml to Colab's cells and the citation
	@$(BIN)/python tests/support/version.py

lock: ## resolve requirements.lock anew (UPGRADE=1: to the newest versions)
	@python=$$($(FIND_PYTHON)) && test "$$python" && "$$python" -m venv --clear _build/uv
	@_build/uv/bin/python -m pip -qq --disable-pip-version-check install uv
	@_build/uv/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.12 \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		$(if $(UPGRADE),--upgrade) --quiet --output-file requirements.lock

clean: ## remove everything generated except .venv
	rm -rf _build

# Made from nothing whenever the lock changes, so that a half-made one repairs itself.
$(VENV)/.locked: requirements.lock
	@python=$$($(FIND_PYTHON)) && test "$$python" && \
		echo "setting up $(VENV) with $$python (about two minutes, once)" && \
		"$$python" -m venv --clear $(VENV)
	@$(PIP) install --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # some ship Python 2 examples
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@touch $@
