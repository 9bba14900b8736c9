# Each command sets up what it needs, and does nothing twice. PYTHON=/path/to/python picks the Python of .venv.
export DVC_NO_ANALYTICS = 1
# Images often set it. Each of the pipeline's many processes would compile all of torch and pandas anew: 3 s of 6.
unexport PYTHONDONTWRITEBYTECODE
export DVCLIVE_LOGLEVEL ?= WARNING

ARGS ?=
COMPOSE ?= docker compose
TEST_ARGS ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Each worker of the tests is one process: more threads would only be in each other's way.
THREADS = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help setup demo lab up test check fix docs servers doctor lock clean

help: ## show these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: ## make .venv from the lock (every other command does it too)
	@python=$$(sh tools/find_python) && "$$python" tools/install.py

demo: setup ## fetch, train, evaluate and push four tasks of a simulated fleet, with reports
	@.venv/bin/tsf demo $(ARGS)

# Without the announcements Lab asks for nothing outside of this machine: no news, no check for updates.
lab: setup ## start JupyterLab with tsf in this project and print its address; ARGS="--port 9999"
	@mkdir -p .venv/etc/jupyter/labconfig && cp deploy/page_config.json .venv/etc/jupyter/labconfig/
	@.venv/bin/jupyter lab --log-level WARN $(ARGS)

# Lab runs as the owner of this folder. Secrets are files that services read, in a folder that nobody else can enter.
up: ## start Lab, Prometheus, Pushgateway, Alertmanager, Grafana and nginx in containers and print the address of Lab
	@mkdir -p rules .secrets && chmod 700 .secrets
	@for name in jupyter-token grafana-password; do \
		test -s .secrets/$$name || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > .secrets/$$name; \
		chmod 644 .secrets/$$name; \
	done
	@TSF_USER=$${TSF_USER:-$$(ls -nd . | awk '{print $$3 ":" $$4}')} && case $$TSF_USER in \
		0:*) echo "this folder is root's, and Jupyter does not run as root: chown it to a user" >&2; exit 1;; \
	esac && export TSF_USER && $(COMPOSE) up --build --detach --wait $(ARGS)
	@echo "http://127.0.0.1:$${TSF_PORT:-8080}$${TSF_BASE_URL:-/}lab?token=$$(cat .secrets/jupyter-token)"

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

docs: setup ## build the site of README, docs/ and executed notebooks, into site/html
	@.venv/bin/sphinx-build --quiet --fail-on-warning -c docs -d site/cache . site/html && echo site/html/index.html

servers: setup ## get Prometheus, Pushgateway and what else the tests start, where it is missing
	@.venv/bin/python tools/servers.py

doctor: setup ## check this machine, its servers and params.yaml
	@.venv/bin/tsf doctor $(ARGS)

lock: setup ## renew constraints.txt and requirements.lock from pyproject.toml; ARGS=--upgrade takes newer versions
	@sh tools/lock $(ARGS)

clean: ## remove the environment, the test servers and caches; data, models and reports stay
	rm -rf .venv .servers .hypothesis .mypy_cache .pytest_cache .ruff_cache dist site ui/node_modules ui/lib
	find tsf tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
