# Everything runs from .venv, which this file creates. `make demo` and `make test` are all a clone needs.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench torture lock clean core dev

PYTHON ?= python3
PORT ?= 8000
SERVE ?= 1
TEST_WORKERS ?= 2
export PORT

BIN := .venv/bin
# A stamp's name carries the checksum of what it installed: an unchanged list installs nothing.
CORE_STAMP := .venv/.core-$(firstword $(shell cksum requirements/core.txt))
DEV_STAMP := .venv/.dev-$(firstword $(shell cksum requirements/dev.txt))

help:
	@echo "make demo     install, load the demo desk, print a post-mortem, serve on 127.0.0.1:$(PORT)"
	@echo "make test     run all tests"
	@echo "make check    lint, types, import contracts, migrations"
	@echo "make bench    run every benchmark, one JSON object a line"
	@echo "make torture  the long fault, soak, fuzz and mutation runs"
	@echo "make lock     compile requirements/*.txt from pyproject.toml (needs uv)"
	@echo "make clean    remove .venv and caches, keep .data"

demo: core
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py load_demo
	@if [ "$(SERVE)" != 0 ]; then exec $(BIN)/python manage.py serve; fi

test: dev
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) -q
	@$(BIN)/python -m tests.on_postgres -n $(TEST_WORKERS) -q

check: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py check

bench: dev
	@for file in benchmarks/[a-z]*.py benchmarks/[a-z]*/__main__.py; do \
		[ -e "$$file" ] || { echo "No benchmark exists at $$file."; exit 1; }; \
		name=$${file#*/}; name=$${name%/__main__.py}; \
		$(BIN)/python -m "benchmarks.$${name%.py}" || exit 1; \
	done

torture: dev
	@$(BIN)/python -m tests.torture

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv"; exit 1; }
	@uv pip compile --quiet --generate-hashes --universal --fork-strategy fewest --python-version 3.11 \
		pyproject.toml -o requirements/core.txt
	@uv pip compile --quiet --generate-hashes --universal --fork-strategy fewest --python-version 3.11 \
		pyproject.toml --extra dev -c requirements/core.txt -o requirements/dev.txt

clean:
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis staticfiles
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

core: $(CORE_STAMP)
dev: $(DEV_STAMP)

# A Debian python3 may come without ensurepip: `venv` then fails and leaves a .venv without pip.
# The pip outside can still install into it; with neither, say which package is missing.
.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Inquest needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11"; exit 1; }
	@rm -rf .venv
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 && [ -x $(BIN)/pip ] \
		|| { rm -rf .venv && $(PYTHON) -m venv --without-pip .venv \
			&& $(PYTHON) -m pip --python $(BIN)/python --version >/dev/null 2>&1; } \
		|| { rm -rf .venv; echo "This Python has neither ensurepip nor pip. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $@

# $(1): the requirements file
define install
	@if [ -x $(BIN)/pip ]; then set -- $(BIN)/python -m pip; else set -- $(PYTHON) -m pip --python $(BIN)/python; fi; \
	echo "Installing $(1) into .venv ..."; \
	"$$@" install --quiet --disable-pip-version-check --no-compile --require-hashes -r $(1)
	@rm -f $(firstword $(subst -, ,$@))-*
	@touch $@
endef

$(CORE_STAMP): | .venv/.created
	$(call install,requirements/core.txt)

$(DEV_STAMP): | .venv/.created
	$(call install,requirements/dev.txt)
