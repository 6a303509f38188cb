# make quickstart: everything once, on drawn scenes. make test: the tests.
PYTHON ?= python3
BIN := .venv/bin
# Training on a CPU: a sixth of a step goes into small pages, see docs/training.md.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
# The model of `demo` and `pictures`.
CHECKPOINT ?= quickstart/run

# The stamp is newer than the lists of packages when the environment is up to date.
INSTALLED := .venv/installed

.PHONY: quickstart demo test test-slow test-browser pictures chromium lint check clean

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} found, 3.11 to 3.13 needed: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

quickstart: $(INSTALLED)
	$(BIN)/python -m mst_jax.prepare shapes --data_dir quickstart/data
	$(BIN)/python -m mst_jax.train --config configs/quickstart.py \
	  --workdir quickstart/run --config.data.data_dir=quickstart/data
	$(BIN)/python -m mst_jax.evaluate --checkpoint quickstart/run --dataset shapes \
	  --data_dir quickstart/data --limit 200 --out quickstart/clicks.json
	$(BIN)/python -m mst_jax.predict docs/pictures/scene.png \
	  --checkpoint quickstart/run --positive 50,75 --negative 115,88 \
	  --out quickstart/mask.png --overlay quickstart/overlay.png
	@echo "Look at quickstart/overlay.png"

demo: $(INSTALLED)
	$(BIN)/python -m mst_jax.serve --checkpoint $(CHECKPOINT)

# Two processes; the tests of a file stay together, for they share what they compile.
test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

test-browser: $(INSTALLED) chromium
	$(BIN)/python -m pytest -m browser tests/demo

# The screenshots of docs/pictures, with a model that is worth looking at.
pictures: $(INSTALLED) chromium
	PICTURES=docs/pictures CHECKPOINT=$(CHECKPOINT) \
	  $(BIN)/python -m pytest -m browser tests/demo/test_page_pictures.py \
	  tests/demo/test_notebook_in_lab.py

chromium:
	@command -v chromium >/dev/null \
	|| { apt-get update -qq && apt-get install -y -qq chromium fonts-dejavu-core; } >/dev/null \
	|| { echo "The tests of the page need chromium; install it: apt-get install chromium"; exit 1; }

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint test

clean:
	rm -rf .venv quickstart
