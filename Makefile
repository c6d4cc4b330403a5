# For maintainers. Whoever only runs the portal needs python3 manage.py and nothing else.

PYTHON ?= python3
BIN = .venv/bin
# A company may sign its traffic with a certificate of its own.
export UV_SYSTEM_CERTS ?= true
TEMPLATES = $(shell find templates -name '*.html')
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: \
	--generate-hashes --no-annotate --custom-compile-command "make lock" pyproject.toml

.PHONY: bench check faults format lock messages tools

## Everything that must hold before a commit, but the tests.
check: tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/djade --check $(TEMPLATES)
	$(BIN)/python -m pytest -q tests/test_repository.py

## Measure, and write the figures into docs/benchmarks.md: about half an hour on a machine that does nothing else.
## `make bench ONLY=streams100,enter ROUNDS=1` measures a part.
bench: tools
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

## Every row of the fault tables on real processes, the slow ones included; ROW=F08 runs one.
faults: tools
	$(BIN)/python manage.py test tests/faults tests/browser/test_breaks.py tests/browser/test_models.py \
		tests/browser/test_odd_words.py tests/webui/gateway/test_large_files.py tests/test_fuzz.py \
		-m "slow or not slow" $(if $(ROW),-k $(ROW))

## Put the code and the templates into their shape.
format: tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djade $(TEMPLATES)

## Write the lock files from pyproject.toml; `make lock UPGRADE=--upgrade` takes newer versions.
lock: tools
	$(COMPILE) $(UPGRADE) --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --group test --constraints requirements.lock --output-file requirements-test.lock
	$(COMPILE) $(UPGRADE) --group test --group check --constraints requirements-test.lock \
		--output-file requirements-check.lock

## Collect the sentences of the interface for translation, and compile what is translated.
messages: tools
	$(BIN)/python manage.py makemessages --locale zh_Hans --no-location --no-obsolete --ignore '.venv/*' --ignore 'var/*'
	$(BIN)/python manage.py makemessages --locale zh_Hans --domain djangojs --no-location --no-obsolete \
		--ignore '.venv/*' --ignore 'var/*'
	$(BIN)/python manage.py compilemessages --locale zh_Hans --ignore .venv

tools:
	@$(PYTHON) -m webui.bootstrap requirements-check.lock
