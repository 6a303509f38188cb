# make quickstart: everything once, on drawn scenes. make test: the tests.
PYTHON ?= python3
BIN := .venv/bin

# The stamp is newer than the lists of packages when the environment is up to date.
INSTALLED := .venv/installed

.PHONY: quickstart test test-slow lint check clean

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

# Two processes; the tests of a file stay together, for they share what they compile.
test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint test

clean:
	rm -rf .venv quickstart
