# Thin over scripts/: each target is one script, which can be run by hand as well.
.PHONY: help up down test check e2e images suites interop

help: ## Say what there is
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

up: ## Start a cluster on this machine, with the demo (installs what is missing)
	@scripts/up

down: ## Stop the cluster that `make up` started; DATA=purge removes its data too
	@scripts/down $(if $(filter purge,$(DATA)),--purge)

test: ## Run all checks and tests (installs what they need)
	@scripts/test

check: ## Run the checks alone: format, lints, layers, licences
	@scripts/test checks

e2e: ## Run the end-to-end tests alone; ARGS=name runs those whose name has it
	@scripts/test e2e $(ARGS)

images: ## Make the images of the examples from Debian packages, and serve them on 127.0.0.1:5000
	@scripts/images/serve

suites: ## Run tests that others wrote for Kubernetes: kr8s
	@scripts/test suites

interop: ## Compare with upstream's own Go code (needs Go and the module proxy)
	@scripts/test interop
