# make quickstart: predict, prepare, train and evaluate in minutes. make test: the tests.
# The newest Python of 3.13, 3.12 and 3.11 on this machine; `make PYTHON=python3.12` takes
# another one.
ifeq ($(origin PYTHON), undefined)
PYTHON = $(shell tools/find_python.sh)
else
# An environment of another Python is made again.
OTHER_PYTHON := $(shell version='import sys; print(sys.version_info[:2])'; \
  test ! -e .venv || test "$$($(PYTHON) -c "$$version")" = "$$(.venv/bin/python -c "$$version")" \
  || echo other-python)
endif
BIN := .venv/bin
# Training on a CPU: small memory pages cost a sixth of a step, see docs/training.md.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
# Container images often set it; every process would compile all modules to bytecode anew.
unexport PYTHONDONTWRITEBYTECODE
# The model of `demo` and `pictures`.
CHECKPOINT ?= mst-small

# The stamp is newer than the lists of packages when the environment is up to date.
INSTALLED := .venv/installed

# Inputs of the training of the bundled model, see docs/mst-small.md.
OBJECTS ?= objects
BACKBONE ?= vit_small_patch14_dinov2.npz
# Flags for every stage, after its own, such as --config.data.num_workers=4.
STAGE_FLAGS ?=

.PHONY: other-python quickstart mst-small demo test test-fast test-slow test-lowest test-colab test-tpu \
  test-browser pictures chromium lint docs check clean

$(INSTALLED): requirements.txt pyproject.toml $(OTHER_PYTHON)
	@sh tools/make_environment.sh .venv $(PYTHON)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# First the bundled model on photographs, then a tiny model trained on synthetic scenes.
quickstart: $(INSTALLED)
	$(BIN)/python -m mst_jax.predict examples/photos/flower.jpg \
	  --positive 178,245 --positive 100,250 --negative 325,280 \
	  --out quickstart/flower.png --overlay quickstart/flower-overlay.jpg
	$(BIN)/python -m mst_jax.predict examples/photos/china.jpg \
	  --positive 160,165 --positive 210,130 --negative 280,330 \
	  --out quickstart/tower.png --overlay quickstart/tower-overlay.jpg
	$(BIN)/python -m mst_jax.prepare shapes --data-dir quickstart/data
	$(BIN)/python -m mst_jax.train --config configs/quickstart.py \
	  --workdir quickstart/run --config.data.data_dir=quickstart/data
	$(BIN)/python -m mst_jax.evaluate --checkpoint quickstart/run --dataset shapes \
	  --data-dir quickstart/data --limit 200 --out quickstart/clicks.json
	$(BIN)/python -m mst_jax.predict docs/pictures/scene.png \
	  --checkpoint quickstart/run --positive 50,75 --negative 115,88 \
	  --out quickstart/mask.png --overlay quickstart/overlay.png
	@echo "Look at quickstart/flower-overlay.jpg, tower-overlay.jpg and overlay.png"

mst-small: models/mst_small.safetensors

data/folder/objects: | $(INSTALLED)
	$(BIN)/python -m mst_jax.prepare folder/objects --source $(OBJECTS) --data-dir data

# 9 hours on 2 cores. After an interruption the same command resumes.
TRAIN := $(BIN)/python -m mst_jax.train --config configs/objects.py
TRAIN_SPLIT := --config.data.split='train[:95%]' --config.optimizer.warmup=50
LOW_RATE := --config.optimizer.learning_rate=3e-4 --config.ema_decay=0.99
WIDE := --config.data.augmentation.object_scale='(1.2,6.0)'
WIDER := --config.data.augmentation.object_scale='(1.2,9.0)' --config.crop=320 --config.optimizer.warmup=20
models/mst_small.safetensors: | data/folder/objects
	$(TRAIN):model=simpleclick,size=small,loss=bce+dice $(TRAIN_SPLIT) \
	  --workdir runs/plain --config.init_from=$(BACKBONE) --config.steps=4871 \
	  --config.optimizer.schedule=none $(STAGE_FLAGS)
	$(TRAIN):model=mst,size=small,loss=scores $(TRAIN_SPLIT) \
	  --workdir runs/scores --config.init_from=runs/plain --config.batch=16 --config.steps=200 \
	  --config.ema_decay=0.98 $(STAGE_FLAGS)
	$(TRAIN):model=mst,size=small,loss=normalized+dice $(TRAIN_SPLIT) $(LOW_RATE) \
	  --workdir runs/near --config.init_from=runs/scores --config.crop=224 --config.steps=500 $(STAGE_FLAGS)
	$(TRAIN):model=mst,size=small,loss=normalized+dice $(TRAIN_SPLIT) $(LOW_RATE) $(WIDE) \
	  --workdir runs/wide --config.init_from=runs/near --config.crop=224 --config.steps=1000 $(STAGE_FLAGS)
	$(TRAIN):model=mst,size=small,loss=normalized+dice $(TRAIN_SPLIT) $(LOW_RATE) $(WIDE) \
	  --workdir runs/large --config.init_from=runs/wide --config.crop=320 --config.steps=440 \
	  --config.optimizer.warmup=20 --config.seed=19 $(STAGE_FLAGS)
	$(TRAIN):model=mst,size=small,loss=normalized+dice $(TRAIN_SPLIT) $(LOW_RATE) $(WIDER) \
	  --workdir runs/wider --config.init_from=runs/large --config.steps=460 --config.seed=21 $(STAGE_FLAGS)
	$(TRAIN):model=mst,size=small,loss=normalized+dice $(TRAIN_SPLIT) $(LOW_RATE) $(WIDER) \
	  --workdir runs/last --config.init_from=runs/wider --config.steps=220 --config.seed=23 $(STAGE_FLAGS)
	$(BIN)/python -m mst_jax.convert runs/wider $@ --mean runs/last --half \
	  --card mst_jax/weights/mst_small.json

demo: $(INSTALLED)
	$(BIN)/python -m mst_jax.serve --checkpoint $(CHECKPOINT) \
	  --folder examples/photos --save masks

# Two processes; the tests of a file stay together because they share compiled programs.
# tests/conftest.py puts the files that take the longest first.
TWO_WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
test: $(INSTALLED)
	$(BIN)/python -m pytest $(TWO_WORKERS)

# For the inner loop: without the files of tests/helpers/heavy_files.py.
test-fast: $(INSTALLED)
	$(BIN)/python -m pytest $(TWO_WORKERS) -m 'not slow and not browser and not heavy'

# The same tests with the lowest versions that pyproject.toml allows, on Python 3.11.
test-lowest: $(INSTALLED)
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --resolution lowest-direct \
	  --extra all --no-header --no-annotate pyproject.toml -o .venv/lowest.txt
	@sh tools/make_environment.sh .venv-lowest $$(tools/find_python.sh 11)
	$(BIN)/uv pip install --quiet --python .venv-lowest -r .venv/lowest.txt
	$(BIN)/uv pip install --quiet --python .venv-lowest -c .venv/lowest.txt -e ".[dev]"
	.venv-lowest/bin/python -m pytest $(TWO_WORKERS)

# The notebooks as in Colab: Python 3.12, the packages of its image, no package of ours.
test-colab: $(INSTALLED)
	rm -rf .venv-colab
	@sh tools/make_environment.sh .venv-colab $$(tools/find_python.sh 12)
	$(BIN)/uv pip install --quiet --python .venv-colab -r colab/image_versions.txt
	COLAB_PYTHON=$(CURDIR)/.venv-colab/bin/python $(BIN)/python -m pytest -m '' \
	  tests/tools/test_colab_install.py tests/test_notebooks.py

# The training step compiled for TPUs by libtpu; no TPU is needed.
test-tpu: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.txt "jax[tpu]"
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -m slow tests/benchmarks

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

test-browser: $(INSTALLED) chromium
	$(BIN)/python -m pytest -m browser tests/annotation tests/exporting tests/notebook

# The screenshots of docs/pictures, with the bundled model and an optimizing compiler, which
# the tests switch off.
pictures: $(INSTALLED) chromium
	XLA_FLAGS=--xla_backend_optimization_level=3 PICTURES=docs/pictures CHECKPOINT=$(CHECKPOINT) \
	  $(BIN)/python -m pytest -m browser tests/annotation/browser/test_page_screenshots.py \
	  tests/notebook/test_notebook_in_lab.py

chromium:
	@command -v chromium >/dev/null \
	|| { apt-get update -qq && apt-get install -y -qq chromium fonts-dejavu-core; } >/dev/null \
	|| { echo "The tests of the page need chromium; install it: apt-get install chromium"; exit 1; }

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/shellcheck launch/*.sh tools/*.sh .ci/run

# The documentation site, in site/. Every warning is an error.
docs: $(INSTALLED)
	$(BIN)/python -m mkdocs build --strict

check: lint test

clean:
	rm -rf .venv .venv-lowest .venv-colab quickstart site
