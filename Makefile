# The one entry point. `make help` lists the targets.
# Nothing here decides a measured byte: eif-builder does, from manifests and locks.

IMAGE ?= native
MANIFEST := rootfs/$(IMAGE)/image.toml
CARGO ?= cargo
EIF_BUILDER := target/tool/eif-builder
SIMULATOR := target/tool/simulator
RECIPE = $(EIF_BUILDER) recipe
# Upstream's release as a file, where it cannot be fetched: make eif IMAGE=web3signer WEB3SIGNER_TARBALL=FILE
RELEASE = $(shell sed -n 's/^download = "\(.*\)"/\1/p' $(MANIFEST))
GIVEN = $(if $(WEB3SIGNER_TARBALL),--download $(RELEASE)=$(WEB3SIGNER_TARBALL))
# Every manifest that has a lock beside it.
LOCKED := $(wildcard rootfs/*/image.toml reproducible/*/root.toml reproducible/kernel/kernel.toml)

.DEFAULT_GOAL := help
.PHONY: help eif published publish verify run test check bench lock lock-check emulator tools simulator manual e2e unit repro fuzz fuzz-smoke deps test-deps bench-deps clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

deps:
	@scripts/host-deps.sh build

test-deps: ## Say (as root on Debian or Ubuntu: install) what this machine lacks
	@scripts/host-deps.sh test

tools: deps
	@$(CARGO) build --quiet --locked --profile tool --package eif-builder

eif: tools ## Build out/$(IMAGE).eif and print its PCRs (IMAGE=native)
	@$(EIF_BUILDER) build $(MANIFEST) --out out $(GIVEN)

published: eif ## Fail when the image's PCRs are not those in reproducible/published (IMAGE=native)
	@scripts/published.sh check $(IMAGE)

publish: eif ## Publish the image's PCRs, to be committed with what moved them (IMAGE=native)
	@scripts/published.sh write $(IMAGE)

verify: tools ## Build the image again from this clean checkout, all of it, and compare with what is published (20 min on two CPUs)
	@$(EIF_BUILDER) verify --rebuild --image $(IMAGE)

emulator: tools ## Build QEMU with the Nitro Enclave machine (needed once, about 5 min)
	@$(RECIPE) emulator

run: eif simulator ## Boot the image in the simulator and show its console until Ctrl-C
	@$(SIMULATOR) run --emulator "$$($(RECIPE) emulator)" out/$(IMAGE).eif

simulator: deps
	@$(CARGO) build --quiet --locked --profile tool --package simulator

manual: deps ## Man pages and shell completions of the host programs, in out/share: cp -r out/share ~/.local
	@$(CARGO) build --quiet --locked --profile tool --package eif-builder --package operator --package parent --package simulator
	@scripts/manual.sh out/share $(addprefix target/tool/,eif-builder nitro-operator parent simulator)

unit: test-deps ## Tests that need no enclave
	scripts/with-stores.sh scripts/with-clients.sh $(CARGO) test --locked --workspace --exclude bench-attest --exclude bench-kms --exclude bench-signer --exclude differential --exclude e2e --exclude simulator
	$(CARGO) test --locked --package simulator --lib --bins --test kms

e2e: test-deps eif simulator ## Tests that boot enclaves in the simulator
	$(CARGO) build --locked --package parent --package operator
	scripts/with-enclave.sh scripts/with-stores.sh scripts/with-clients.sh $(CARGO) test --locked --package e2e
	scripts/with-enclave.sh $(CARGO) test --locked --package simulator --test vm --test clients

repro: bench-deps eif ## Build again in six other surroundings, one of them another distribution, and compare every byte (1 to 2 h on two CPUs)
	python3 scripts/repro.py $(IMAGE) $(EIF_BUILDER) out

fuzz-smoke: test-deps ## Every fuzz target on its seeds and some thousand inputs more
	scripts/fuzz.sh smoke

fuzz: test-deps ## One fuzz target for FUZZ_SECONDS (TARGET=name; without it: list them)
	@scripts/fuzz.sh $(if $(TARGET),run $(TARGET),list)

# One call, so that everything is compiled once.
test: test-deps eif simulator fuzz-smoke ## All tests
	scripts/with-enclave.sh scripts/with-stores.sh scripts/with-clients.sh $(CARGO) test --locked --workspace --exclude bench-attest --exclude bench-kms --exclude bench-signer

check: test-deps ## Format, lints, documentation, locks, shell scripts, deployment files, workflows, repository rules
	$(CARGO) fmt --all -- --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml -- --check
	$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --locked --workspace --no-deps --document-private-items
	shellcheck $$(git ls-files '*.sh') .ci/run
	scripts/check-deploy.sh
	scripts/check-workflows.sh
	$(MAKE) --no-print-directory lock-check

bench-deps:
	@scripts/host-deps.sh bench

bench: bench-deps eif simulator ## Ratios to named peers, sizes and times, measured in one run
	python3 bench/image.py $(EIF_BUILDER) $(SIMULATOR) "$$($(RECIPE) emulator)"
	$(CARGO) run --quiet --locked --release --package differential --bin bench-eif
	$(CARGO) run --quiet --locked --release --package bench-attest
	$(CARGO) run --quiet --locked --release --package bench-kms
	$(CARGO) build --quiet --locked --release --package web3signer-rs
	$(CARGO) run --quiet --locked --release --package bench-signer target/release/web3signer
	scripts/with-enclave.sh scripts/with-stores.sh $(CARGO) run --quiet --locked --release --package e2e --bin bench-service
	$(CARGO) build --quiet --locked --release --package parent
	scripts/with-enclave.sh $(CARGO) run --quiet --locked --release --package e2e --bin bench-tunnel target/release/parent

lock: tools ## Resolve every manifest's inputs anew from the signed Debian index
	@$(EIF_BUILDER) lock $(LOCKED)

lock-check: tools ## Fail when a lock does not match its manifest
	@$(EIF_BUILDER) lock --check $(LOCKED)

clean: ## Remove build results of this checkout (the store stays)
	rm -rf out target
