# Three commands do everything on a machine that has python3 and make: `make up`, `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
MINUTES ?= 60
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help up demo test lint unit soak crashes thousand bench scale screenshots docs constraints clean

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

up: $(VENV)/installed ## Start Prefect with its UI, a worker and a local Globus, and see a transfer run; Ctrl-C ends all.
	@$(BIN)/prefect-globus up

demo: $(VENV)/installed ## Move a real tree, kill the flow in the middle, resume, prove that nothing is lost.
	@$(BIN)/python examples/kill_and_resume.py

test: lint unit ## Check the style, the types, the architecture, and run the tests.

lint: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples benchmarks
	$(BIN)/lint-imports

# Real servers, workers and browsers share the machine in the first round, and what waits too long for one fails. It
# has failed when it fails alone, too; its first failure stays in the output to be looked into.
unit: $(VENV)/developed
	$(BIN)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder -m "not soak" || { \
		test $$? -eq 1 && echo "What failed beside others is run once more, alone." && \
		$(BIN)/pytest -q -n 0 --last-failed --last-failed-no-failures none -m "not soak"; }

soak: $(VENV)/developed ## Random transfers, kills and faults for MINUTES=60, or as long as is said; prints the counts.
	SOAK_MINUTES=$(MINUTES) $(BIN)/pytest -q -s -m soak tests/soak

crashes: $(VENV)/developed ## Kill the driver at every boundary of a transfer, of which `make test` takes a fifth.
	$(BIN)/pytest -q -n 2 -rP -m soak tests/crashes > crashes.log; status=$$?; \
		grep -E "boundaries|^(FAILED|ERROR)|passed|failed" crashes.log; exit $$status

thousand: $(VENV)/developed ## Look at a run of 1,000 batches in Prefect's UI; prints how long each page took.
	$(BIN)/pytest -q -s -m soak tests/browser/test_many_batches.py

screenshots: $(VENV)/developed ## Take the pictures of the documentation, with a real browser.
	$(BIN)/python docs/screenshots.py

bench: $(VENV)/developed ## Compare with a bare globus-sdk script, and the emulator with cp -r; prints ratios.
	$(BIN)/python benchmarks/against_bare_script.py
	$(BIN)/python benchmarks/incremental.py
	$(BIN)/python benchmarks/emulator.py

scale: $(VENV)/developed ## Measure what is promised of scale, in half an hour; prints a table. HUGE=--huge: ten million files, too.
	$(BIN)/python benchmarks/scale.py $(HUGE)

docs: $(VENV)/developed ## Make a site of the documentation, in build/docs.
	@$(BIN)/sphinx-build -q -W --keep-going docs build/docs
	@echo "build/docs/index.html"

constraints: ## Pin anew what constraints.txt pins; needs uv.
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
		--upgrade --extra postgresql --group dev pyproject.toml -o constraints.txt

clean: ## Remove the environment and what tools have cached.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
