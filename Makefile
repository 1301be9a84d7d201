# Needs cargo, make and git; scripts/packages gets the rest.

TARGET := $(or $(CARGO_TARGET_DIR),target)
SCHEMATHESIS := $(TARGET)/tools/schemathesis/bin/schemathesis
DENY := $(or $(shell command -v cargo-deny 2>/dev/null),$(TARGET)/tools/bin/cargo-deny)
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help run test api-test lint fmt bench packages env clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1#\2/p' Makefile | while IFS='#' read -r name what; do \
		printf '%-15s %s\n' "$$name" "$$what"; done

run: ## a whole stack on this machine, to look at (ARGS=--fresh starts over)
	@scripts/packages run
	cargo build --locked
	@exec $(TARGET)/debug/prommgr demo $(ARGS)

test: ## every test (ARGS are for cargo test)
	@scripts/packages test
	$(if $(wildcard prom/tests/*.yml),promtool test rules prom/tests/*.yml)
	cargo test --locked $(ARGS)

api-test: ## what the API answers, beside what its document says (schemathesis)
	@scripts/packages test
	cargo build --locked
	@test -x $(SCHEMATHESIS) || $(MAKE) $(SCHEMATHESIS)
	scripts/api-test $(TARGET)/debug/prommgr $(SCHEMATHESIS)

lint: ## format, clippy, and what may come in as a dependency
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@test -x $(DENY) || $(MAKE) $(DENY)
	$(DENY) --locked check --hide-inclusion-graph bans licenses sources

fmt: ## format the code
	cargo fmt

bench: ## measure what the README promises
	@test -x bench/run || { echo "there is no bench/run yet" >&2; exit 1; }
	@scripts/packages run
	bench/run $(ARGS)

packages: ## only install what make test needs
	@scripts/packages test

env: ## write .env with fresh secrets, for docker compose
	@scripts/env

clean: ## remove what was built
	cargo clean

$(SCHEMATHESIS):
	python3 -m venv $(TARGET)/tools/schemathesis
	$(TARGET)/tools/schemathesis/bin/pip install --quiet --disable-pip-version-check 'schemathesis==4.32.*'

# Unoptimised: it is built in half the time and has a second's work to do.
$(TARGET)/tools/bin/cargo-deny:
	CARGO_PROFILE_DEV_DEBUG=false cargo install cargo-deny --version '^0.20' --locked --profile dev --root $(TARGET)/tools
