#!/bin/sh
# Two users at work in two synced trees while either end is killed at random, for an hour. Variables:
# DEVENV_TEST_TORTURE_SECONDS (3600), DEVENV_TEST_TORTURE_SEED (1); a seed that fails is printed and can be given again.
# Before that each end is killed at every rename, open, write, … up to DEVENV_TEST_KILL_LAST (300) of each kind, and
# a folder of a million files goes over.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
export DEVENV_TEST_TORTURE_SECONDS="${DEVENV_TEST_TORTURE_SECONDS:-3600}"
export DEVENV_TEST_KILL_LAST="${DEVENV_TEST_KILL_LAST:-300}"
export DEVENV_TEST_WIDE_FOLDER="${DEVENV_TEST_WIDE_FOLDER:-1000000}"
cargo test --release --manifest-path "$here/../../Cargo.toml" --test sync faults:: -- --nocapture
cargo test --release --manifest-path "$here/../../Cargo.toml" --test sync -- --ignored --nocapture
