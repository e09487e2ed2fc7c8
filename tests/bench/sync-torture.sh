#!/bin/sh
# Two users at work in two synced trees while either end is killed at random, for an hour. Variables:
# DEVENV_TEST_TORTURE_SECONDS (3600), DEVENV_TEST_TORTURE_SEED (1); a seed that fails is printed and can be given again.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
export DEVENV_TEST_TORTURE_SECONDS="${DEVENV_TEST_TORTURE_SECONDS:-3600}"
cargo test --release --manifest-path "$here/../../Cargo.toml" --test sync -- --ignored --nocapture
