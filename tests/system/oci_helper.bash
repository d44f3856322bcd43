# SPDX-License-Identifier: Apache-2.0
# For files of system tests about bundles: after `load helper`, `load oci_helper` gives them
#   oci ...                   strata-oci on a state of this file's own: "${OCI[@]}", to which a setup may add
#   config FILTER COMMAND...  the bundle's config.json
#   $OCI_BIN, $OCI_ROOT, $B   the runtime, its state, the bundle
# and a setup and a teardown; a file with more to do calls oci_setup and oci_teardown from its own.

OCI=()
OCI_ROOT=

oci_setup()
{
	export OCI_BIN=${STRATA_BIN%/*}/strata-oci B=$SCRATCH/bundle
	OCI_ROOT=$SCRATCH/oci
	OCI=("$OCI_BIN" --root "$OCI_ROOT")
	mkdir -p "$B"
}

oci_teardown()
{
	local id
	for id in $(oci list -q); do oci delete --force "$id"; done
	[ ! -d "$OCI_ROOT" ] || rm -rf "$OCI_ROOT"
}

setup()
{
	oci_setup
}

teardown()
{
	oci_teardown
}

oci()
{
	"${OCI[@]}" "$@"
}

# config FILTER COMMAND...: `spec`'s without a terminal, on the root $IMAGE or the demo image's, changed by a jq filter
config()
{
	local filter=$1 args
	shift
	args=$(jq -nc '$ARGS.positional' --args -- "$@")
	rm -f "$B/config.json"
	oci spec -b "$B"
	jq --arg root "${IMAGE:-$DEMO_ROOTFS}" --argjson args "$args" \
		".root.path = \$root | .process.terminal = false | .process.args = \$args | $filter" \
		"$B/config.json" >"$B/new"
	mv "$B/new" "$B/config.json"
}
