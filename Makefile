# Each command sets up what it needs, and does nothing twice. PYTHON=/path/to/python picks the Python of .venv.
export DVC_NO_ANALYTICS = 1
# Images often set it. Each of the pipeline's many processes would compile all of torch and pandas anew: 3 s of 6.
unexport PYTHONDONTWRITEBYTECODE
export DVCLIVE_LOGLEVEL ?= WARNING

ARGS ?=
TEST_ARGS ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Each worker of the tests is one process: more threads would only be in each other's way.
THREADS = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help setup demo lab test check fix servers doctor lock clean

help: ## show these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: ## make .venv from the lock (every other command does it too)
	@python=$$(sh tools/find_python) && "$$python" tools/install.py

demo: setup ## fetch, train, evaluate and push four tasks of a simulated fleet, with reports
	@.venv/bin/tsf demo $(ARGS)

# Without the announcements Lab asks for nothing outside of this machine: no news, no check for updates.
lab: setup ## start JupyterLab with tsf in this project and print its address; ARGS="--port 9999"
	@mkdir -p .venv/etc/jupyter/labconfig
	@echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' \
		> .venv/etc/jupyter/labconfig/page_config.json
	@.venv/bin/jupyter lab --log-level WARN $(ARGS)

test: setup servers ## run the tests; ARGS="-m models" selects
	@$(THREADS) .venv/bin/pytest $(TEST_ARGS) $(ARGS)
	@sh tools/ui test

check: setup ## lint, format and type checks; notebooks without outputs; the bundle of ui/ fits its sources
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	@find notebooks -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*' -exec .venv/bin/nbstripout --verify {} +
	@sh tools/ui check same

fix: setup ## mend what can be mended: lint, format, outputs in notebooks
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	@find notebooks -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*' -exec .venv/bin/nbstripout {} +
	@sh tools/ui fix build

servers: setup ## get Prometheus, Pushgateway and what else the tests start, where it is missing
	@.venv/bin/python tools/servers.py

doctor: setup ## check this machine, its servers and params.yaml
	@.venv/bin/tsf doctor $(ARGS)

lock: setup ## renew constraints.txt and requirements.lock from pyproject.toml; ARGS=--upgrade takes newer versions
	@sh tools/lock $(ARGS)

clean: ## remove the environment, the test servers and caches; data, models and reports stay
	rm -rf .venv .servers .hypothesis .mypy_cache .pytest_cache .ruff_cache dist ui/node_modules ui/lib
	find tsf tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
