# Causeway. `make` alone lists the targets; each installs what it needs (infra/bootstrap.sh) and says so. The web client
# is built by cargo with the crate `bridge`, which embeds it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
NEED := infra/bootstrap.sh
# Of each of the three runners. A longer time on demand: make fuzz FUZZ_SECONDS=600
FUZZ_SECONDS ?= 12
# How long people come and go in make churn. Less shows that it works, but a step of the allocator is a slope then: make churn CHURN_FOR=5m
CHURN_FOR ?= 1h
# Where cargo builds, also when the environment moves it.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo dev test simulate check bench control lines joins churn fuzz mesh-faults mesh-trees mesh-drain skew \
	test-rust test-web test-browser test-sdk \
	check-format check-lint check-docs check-house check-web check-fuzz check-deny check-unit check-config

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## three nodes with real ocean delays on this machine; prints the links to open
	@$(NEED) build web demo
	$(CARGO) build --package bridge --package loadtest
	@TARGET_DIR=$(TARGET_DIR) infra/demo/run.sh

dev: ## one node on this machine; prints the meeting link
	@$(NEED) build web
	$(CARGO) run --package bridge -- dev

test: ## everything: unit, property, simulation, loopback, browsers, client SDKs
	@$(MAKE) test-rust
	@$(MAKE) test-web
	@$(MAKE) test-browser
	@$(MAKE) test-sdk

simulate: ## SEEDS more meetings of the simulation (5000), from seed FROM on (20000); a failure says how to repeat it
	SIM_SEEDS=$(or $(SEEDS),5000) SIM_FROM=$(or $(FROM),20000) \
		$(CARGO) test --package bridge-core --features sim --lib should_seeds_1_to_250

check: ## format, lints, documents, import rules, sizes, fuzzing, configurations
	@$(MAKE) check-format
	@$(MAKE) check-house
	@$(MAKE) check-web
	@$(MAKE) check-lint
	@$(MAKE) check-docs
	@$(MAKE) check-fuzz
	@$(MAKE) check-config
	@$(MAKE) check-unit
	@$(MAKE) check-deny

fuzz: ## hostile input for FUZZ_SECONDS per runner: decoders, media threads, signalling; a failure says how to repeat it
	@$(MAKE) check-fuzz

bench: ## all figures beside their floors: forwarding, relay, scenarios; target/bench/report.json
	@$(MAKE) bench-forward_cpu_1x50
	@$(MAKE) bench-forward_cpu_1x500
	@$(MAKE) bench-relay_cpu
	@$(MAKE) bench-relay_delivery_1pct
	@$(NEED) build web
	$(CARGO) build --release --package bridge --package loadtest
	$(TARGET_DIR)/release/loadtest bench --causeway $(TARGET_DIR)/release/causeway

bench-forward_cpu_1x50:
	@$(NEED) build web
	$(CARGO) run --release --package bridge --example forward_cpu

bench-forward_cpu_1x500:
	@$(NEED) build web
	$(CARGO) run --release --package bridge --example forward_cpu -- 3 5 500

bench-relay_cpu:
	@$(NEED) build web
	$(CARGO) run --release --package bridge --example relay_cpu

bench-relay_delivery_1pct:
	@$(NEED) build web
	$(CARGO) run --release --package bridge --example relay_delivery

control: ## light clients, full ones (webrtc crate) and real Chromium in one room: do their figures agree?
	@$(NEED) build web browser
	$(CARGO) build --release --package bridge --package loadtest
	$(TARGET_DIR)/release/loadtest run smoke --set warm_up=15s --set duration=15s --full 2 --browser 2 --causeway $(TARGET_DIR)/release/causeway

lines: ## viewers behind bad lines (needs root), beside the same without estimates: sound, freezes, what of each line is used
	@$(NEED) build web wan
	$(CARGO) build --release --package bridge --package loadtest
	@# The baseline is there to be compared with, not to hold; whether ours holds is the answer.
	@run="$(TARGET_DIR)/release/loadtest run s10 --namespaces --causeway $(TARGET_DIR)/release/causeway"; out=target/loadtest/lines; held=0; \
	$$run --out $$out || held=$$?; \
	$$run --node media.estimate_paths=false --out $$out-baseline || echo "the baseline does not hold, or did not run (see above)"; \
	$(TARGET_DIR)/release/loadtest compare $$out/report.json $$out-baseline/report.json; exit $$held

joins: ## ninety joins in ten seconds; joins over a line of 100 ms round trip (needs root), beside the round trips a handshake takes
	@$(NEED) build web wan
	$(CARGO) build --release --package bridge --package loadtest
	$(TARGET_DIR)/release/loadtest run s5 --causeway $(TARGET_DIR)/release/causeway
	$(TARGET_DIR)/release/loadtest run s12 --namespaces --causeway $(TARGET_DIR)/release/causeway

churn: ## people come and go for CHURN_FOR (1h): does the node's memory grow beyond the noise of its measurement?
	@$(NEED) build web
	$(CARGO) build --release --package bridge --package loadtest
	$(TARGET_DIR)/release/loadtest run churn --set duration=$(CHURN_FOR) --out target/loadtest/churn --causeway $(TARGET_DIR)/release/causeway

# Scenarios against a mesh whose nodes and clients each have a namespace (needs root). All are run, whichever fails.
MESH_RUN = $(TARGET_DIR)/release/loadtest run $(1) --namespaces --shards 1 --causeway $(TARGET_DIR)/release/causeway --out target/loadtest/$(1)

mesh-build:
	@$(NEED) build web wan
	$(CARGO) build --release --package bridge --package loadtest

mesh-faults: mesh-build ## a node dies, a cable is cut (needs root): what do those miss who move, and those who stay?
	@held=0; for scenario in s6 s6-cut; do $(call MESH_RUN,$$scenario) || held=$$?; done; exit $$held

mesh-trees: mesh-build ## two oceans, five continents (needs root): copies, bytes, delay and link traffic beside the least there can be
	@held=0; for scenario in s2 continents continents-10; do $(call MESH_RUN,$$scenario) || held=$$?; done; exit $$held

mesh-drain: mesh-build ## every node of three is drained and started again, of a few people and of sixty (needs root): does anybody notice?
	@held=0; for scenario in s7 s7-60; do $(call MESH_RUN,$$scenario) || held=$$?; done; exit $$held

skew: mesh-build ## the same rolling restart from the build of infra/skew/previous to this one (needs root): nobody leaves the room
	before=$$(CARGO=$(CARGO) TARGET_DIR=$(TARGET_DIR) infra/skew/build.sh); \
	$(TARGET_DIR)/release/loadtest run s7 --namespaces --shards 1 --causeway $$before --causeway-then $(TARGET_DIR)/release/causeway --out target/loadtest/skew

# One figure of a whole scenario: make bench-join_first_frame
bench-%:
	@$(NEED) build web
	$(CARGO) build --release --package bridge --package loadtest
	$(TARGET_DIR)/release/loadtest bench $* --causeway $(TARGET_DIR)/release/causeway

# --- parts ---------------------------------------------------------------------------------------------------------

test-rust:
	@$(NEED) build web wan etcd
	$(CARGO) test --workspace --no-fail-fast

test-web:
	@$(NEED) web browser
	npm test --prefix web
	npm run --prefix web test:ui

test-browser:
	@$(NEED) build web browser wan
	$(CARGO) build --package bridge --package loadtest
	TARGET_DIR=$(abspath $(TARGET_DIR)) node web/e2e/run.mjs

test-sdk:
	@$(NEED) build web browser sdk
	$(CARGO) build --package bridge --package loadtest
	TARGET_DIR=$(abspath $(TARGET_DIR)) SDK_PYTHON=$(abspath target/sdk/bin/python) node web/e2e/sdk.mjs

check-format:
	@$(NEED) build
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path relay-proto/fuzz/Cargo.toml --check

check-house:
	infra/ci/arrows.sh
	infra/ci/sizes.sh
	@for script in .ci/run $$(git ls-files '*.sh'); do bash -n $$script; done

check-lint:
	@$(NEED) build web
	$(CARGO) clippy --workspace --all-targets -- -D warnings

check-docs:
	@$(NEED) build web
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

check-web:
	@$(NEED) web
	npm run --prefix web check

check-fuzz:
	@$(NEED) build
	$(CARGO) run --package relay-proto --example fuzz_decoders -- --seconds $(FUZZ_SECONDS)
	$(CARGO) run --package bridge-core --features sim --example fuzz_shard -- --seconds $(FUZZ_SECONDS)
	$(CARGO) run --package signaling --example fuzz_signalling -- --seconds $(FUZZ_SECONDS)

check-config:
	@$(NEED) build web
	$(CARGO) build --package bridge
	infra/ci/config.sh $(TARGET_DIR)/debug/causeway

check-unit:
	@$(NEED) systemd
	infra/ci/unit.sh

check-deny:
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
		echo "check-deny: cargo-deny is not installed, so advisories were not checked (cargo install cargo-deny)"; \
	else \
		$(CARGO) deny --locked check --allow duplicate bans licenses sources; \
		if $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny --locked --offline check advisories; \
		else echo "check-deny: the advisory database cannot be reached, so advisories were not checked"; fi; \
	fi
