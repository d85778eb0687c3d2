# Two commands do everything on a machine that has python3 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit soak bench constraints clean

help: ## Show this.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# The package and what it needs, pinned.
$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Installing prefect-globus into $(VENV) (a minute or so) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=25.1"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

# The tools for working on it.
$(VENV)/developed: $(VENV)/installed
	@echo "Installing the development tools into $(VENV) ..."
	@$(PIP) install -c constraints.txt --group dev
	@touch $@

demo: $(VENV)/installed ## Move a real tree, kill the flow in the middle, resume, prove that nothing is lost.
	@$(BIN)/python examples/kill_and_resume.py

test: lint unit ## Check the style, the types, the architecture, and run the tests.

lint: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples benchmarks
	$(BIN)/lint-imports

unit: $(VENV)/developed
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not soak"

soak: $(VENV)/developed ## Run the long tests that `make test` leaves out.
	$(BIN)/pytest -q -m soak

bench: $(VENV)/developed ## Compare with a bare globus-sdk script, and the emulator with cp -r; prints ratios.
	$(BIN)/python benchmarks/against_bare_script.py
	$(BIN)/python benchmarks/emulator.py

constraints: ## Pin anew what constraints.txt pins; needs uv.
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
		--upgrade --extra postgresql --group dev pyproject.toml -o constraints.txt

clean: ## Remove the environment and what tools have cached.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
