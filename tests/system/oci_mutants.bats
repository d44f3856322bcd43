#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Configurations that are wrong in every way there is: see oci_mutate.py. `make fuzz` tries all of them, this a sample.
load helper

@test "mutants of config.json: strata-oci ends, says one line at most, and leaves nothing" {
	run timeout 1000 "$BATS_TEST_DIRNAME/../../tools/apart" python3 "$(realpath "$BATS_TEST_DIRNAME")/oci_mutate.py" \
		"${STRATA_BIN%/*}/strata-oci" "$DEMO_ROOTFS/bin/busybox" 37
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[[ ${lines[-1]} == *" mutants, 0 of them wrong" ]]
}
