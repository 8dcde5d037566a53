# Everything here needs Python 3.11 or newer and make; the first target that runs makes .venv with all the rest.
#
#   make demo [ARGS=--no-serve]   a simulated Stripe account, imported, compared and shown
#   make serve [ARGS=…]           the page, the API and the webhooks, with a worker
#   make test                     check, then every suite: unit, integration, crash, peers
#   make check                    lint, format, types, import contracts
#   make bench                    every benchmark, one file per figure
#   make callers                  whether tests, benchmarks and tools call things as they are
#   make wide                     many cases of what make test shows once
#   make statements               what shows whether SQL works on another server, and what make test leaves to .ci/run
#   make browser, make soak       tests that need Chromium; tests that run for long
#   make spark                    the ledger on Spark, which needs Java; gets PySpark (430 MB)
#   make site [ARGS=serve]       the documentation as a site, built strictly
#   make deployable               the Dockerfile and the compose file, linted
#   make assets                   the page's style sheets and scripts
#   make clean                    forgets .venv and everything built

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/pytest --durations=10
SYNC := env -u VIRTUAL_ENV UV_PYTHON_DOWNLOADS=never $(BIN)/uv sync --quiet --frozen --inexact --python $(BIN)/python
PURE := src/tidegate/catalog/contents.py src/tidegate/catalog/prices.py src/tidegate/catalog/proposals.py \
	src/tidegate/catalog/suggestions.py src/tidegate/catalog/terms.py src/tidegate/contacts/csv_rows.py src/tidegate/contacts/match.py \
	src/tidegate/contacts/records.py src/tidegate/delivery/judging.py src/tidegate/delivery/messages.py \
	src/tidegate/delivery/options.py src/tidegate/delivery/shapes.py src/tidegate/delivery/signing.py \
	src/tidegate/delivery/destinations/http_upsert.py src/tidegate/delivery/destinations/hubspot.py \
	src/tidegate/delivery/destinations/kissmetrics.py src/tidegate/delivery/destinations/segment.py \
	src/tidegate/delivery/destinations/webhook.py \
	src/tidegate/entitlements/access.py src/tidegate/entitlements/buckets.py \
	src/tidegate/entitlements/periods.py src/tidegate/entitlements/resolve.py src/tidegate/lifecycle/actions/deciding.py \
	src/tidegate/lifecycle/actions/presets.py src/tidegate/lifecycle/proportions.py \
	src/tidegate/lifecycle/actions/spec.py src/tidegate/lifecycle/alert_rules.py \
	src/tidegate/lifecycle/digest_periods.py src/tidegate/lifecycle/lift.py src/tidegate/mirror/before.py \
	src/tidegate/mirror/decide.py src/tidegate/mirror/redaction.py src/tidegate/outbound/schedule.py src/tidegate/outbound/selling \
	src/tidegate/pricing src/tidegate/revenue/billing \
	src/tidegate/revenue/bridge.py src/tidegate/revenue/formulas.py src/tidegate/revenue/history \
	src/tidegate/revenue/netting.py src/tidegate/revenue/periods.py src/tidegate/revenue/quarters.py \
	src/tidegate/revenue/rates.py src/tidegate/revenue/reconcile.py src/tidegate/revenue/rounding.py \
	src/tidegate/revenue/stripe_report.py src/tidegate/stripe_api/pace.py \
	src/tidegate/stripe_api/resources src/tidegate/stripe_api/shapes

.PHONY: demo serve test check callers unit integration statements crash peers bench browser wide soak spark site deployable assets clean

demo: assets
	$(BIN)/tidegate demo $(ARGS)

serve: assets
	$(BIN)/tidegate serve $(ARGS)

test: assets
	@for part in check unit integration crash peers; do \
		$(MAKE) --no-print-directory $$part || exit 1; \
	done
	@echo "make test: everything passed"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff check --config tools/pure.toml $(PURE)
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Whether tests, benchmarks and tools call what they call as it is; they are not checked strictly, and it takes a minute or two.
callers: $(READY)
	$(BIN)/pyright -p tools/callers.json

unit: $(READY)
	$(PYTEST) -n 2 tests/unit $(ARGS)

# MARKS="not soak and not wide" also shows what make test leaves to .ci/run. A file stays in one process: its tests share a
# database.
MARKS ?= not soak and not wide and not further

integration: assets
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m "$(MARKS)" tests/integration $(ARGS)

# For another server than the embedded one, which TEST_DATABASE_URL names. What differs between servers is SQL, so of the files
# about forms, pages and commands only what make test leaves out is shown: test_users opens every page, and
# test_api_described asks every route. Of the others, LEAVE_OUT names tests that send no SQL that others do not send.
LEAVE_OUT ?= tests/integration/no_new_statements.txt
SURFACES := $(foreach kind,pages page surfaces cli forms,$(wildcard tests/integration/test_*_$(kind).py)) \
	$(wildcard tests/integration/test_howto*.py) tests/integration/test_cli.py tests/integration/test_pages.py

statements: assets
	PYTHONPATH=. $(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m "not soak and not wide" \
		-p tests.support.statements --leave-out "$(LEAVE_OUT)" $(filter-out $(SURFACES),$(wildcard tests/integration/test_*.py)) $(ARGS)
	PYTHONPATH=. $(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m "further and not wide" \
		-p tests.support.statements $(SURFACES) $(ARGS)

# Three of them on two processors: they wait for processes more than they compute.
crash: assets
	$(PYTEST) -n 3 --dist loadfile -m "$(MARKS)" tests/crash $(ARGS)

peers: $(READY)
	$(PYTEST) -m "not soak" tests/peers $(ARGS)

wide: assets
	$(PYTEST) -n 2 --hypothesis-profile=wide --timeout=900 tests/unit $(ARGS)
	$(PYTEST) -n 2 -m "wide or further" tests/integration $(ARGS)
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m wide tests/crash $(ARGS)

soak: assets
	$(PYTEST) -m soak --timeout=3600 tests $(ARGS)

browser: assets
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		echo "make browser needs Chromium, which is not installed. On Debian: apt-get install chromium" >&2; exit 1; }
	@$(BIN)/python tools/assets.py --tests
	$(PYTEST) -n 2 --dist loadfile -m browser tests/browser $(ARGS)

# Every test of these asks Spark; one process, so that Java starts once. Nothing of it listens to other machines.
spark: assets
	@command -v java >/dev/null || [ -x "$${JAVA_HOME:-/nowhere}/bin/java" ] || { \
		echo "make spark needs Java 17 or newer, which is not installed. On Debian: apt-get install default-jre-headless" >&2; \
		exit 1; }
	@$(SYNC) --extra spark
	SPARK_LOCAL_IP=127.0.0.1 $(PYTEST) -m spark tests/spark $(ARGS)

site: $(READY)
	@$(SYNC) --group site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(or $(ARGS),build --strict --quiet)

deployable: $(READY)
	@$(SYNC) --group deploy
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

bench: $(READY)
	@for figure in benchmarks/*.py; do \
		echo "== $$figure"; $(BIN)/python $$figure $(ARGS) || exit 1; \
	done

assets: $(READY)
	@$(BIN)/python tools/assets.py

# PYTHON=… names the interpreter; else the first one that is new enough.
$(READY): pyproject.toml uv.lock hatch_build.py
	@set -e; \
	for found in $(PYTHON) $(if $(PYTHON),,python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$found; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Tidegate needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not. Name one: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	if [ ! -x $(BIN)/python ]; then \
		"$$python" -m venv $(VENV) || { \
			echo "That Python makes no virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }; \
	fi; \
	[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"; \
	$(SYNC) || { \
		echo "If a proxy signs certificates here: UV_SYSTEM_CERTS=1 NODE_EXTRA_CA_CERTS=/path/to/its.pem make …" >&2; exit 1; }; \
	touch $(READY)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache src/tidegate/web/static/build tests/browser/build
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
