# `make quickstart` sets up and runs the main job; `make test` sets up and runs the suite. Nothing but Python 3.10-3.12 is needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart test lint venv body-models clean

quickstart: body-models
	$(BIN)/python tools/quickstart.py

# One thread a worker: else each of the two would take all cores.
test: body-models $(VENV)/gltf_validator/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: venv
	$(BIN)/ruff check . && $(BIN)/codespell hmradapter tools configs docs tests README.md

venv: $(VENV)/.ready

body-models: venv
	$(BIN)/python tools/open_world/build_body_models.py

# The two opencv builds share one folder: the headless one goes last, since it needs no libGL.
$(VENV)/.ready: setup.py requirements/runtime.txt requirements/tests.txt requirements/open_world.txt
	$(PYTHON) -c 'import sys; ok = (3, 10) <= sys.version_info[:2] <= (3, 12); sys.exit(None if ok else "Python 3.10-3.12 is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements/runtime.txt -r requirements/tests.txt -r requirements/open_world.txt
	$(BIN)/pip install -q --force-reinstall --no-deps $$(grep -o '^opencv-python-headless==[0-9.]*' requirements/runtime.txt)
	$(BIN)/pip install -q --no-deps -e .
	touch $@

# Khronos' validator of GLB files. Without npm, or its registry, the tests that ask it say so and skip.
$(VENV)/gltf_validator/.ready: $(VENV)/.ready tests/gltf_validator/package-lock.json
	-mkdir -p $(@D) && cp tests/gltf_validator/package*.json $(@D) && npm ci --silent --prefix $(@D) && touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
