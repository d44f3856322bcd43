# SPDX-License-Identifier: Apache-2.0
# For every file of system tests: `load helper` gives it
#   strata ...       the built command, on a root and a run root of this file's own
#   $STRATA_ROOT, $STRATA_RUN, $STRATA_BIN
#   the image demo (busybox), imported once for the whole run and copied
#   $DEMO_ROOTFS     the image's root file system as a directory: read only, please
#   $SCRATCH         a directory that goes with the file
# and, when the file's last test is over, removes all instances and networks, and fails if anything of
# the kernel's was left behind (tools/leaks). A file with its own setup_file or teardown_file calls
# strata_setup_file and strata_teardown_file from it.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
WAIT_SECONDS=100
# shellcheck source=tests/wait_until.bash
source "$REPO/tests/wait_until.bash"

# A test that fails says what it compared; in what `run` and $() take there is nothing of it.
function [
{
	builtin [ "$@" && return 0 # without a number, below a trap, it is the status of what was before that
	local status=$?
	[[ $BASH_SUBSHELL -gt 0 ]] || echo "not so: [ ${*@Q}" >&2
	return "$status"
}

strata_setup_file()
{
	[ "$(id -u)" = 0 ] || skip "needs root"
	export STRATA_BIN=${STRATA_BIN:-$REPO/build/strata}
	if [ ! -x "$STRATA_BIN" ]; then
		echo "there is no $STRATA_BIN: run make" >&2
		return 1
	fi
	SCRATCH=$(mktemp -d /tmp/strata-test.XXXXXX)
	chmod 0755 "$SCRATCH" # containers with mapped users walk through it
	export SCRATCH STRATA_ROOT=$SCRATCH/root STRATA_RUN=$SCRATCH/run
	export STRATA_TEST_SHARED=${STRATA_TEST_SHARED:-$SCRATCH/shared}
	export DEMO_ROOTFS=$STRATA_TEST_SHARED/rootfs
	mkdir "$SCRATCH/bin"
	# A program, not a function: timeout, script, setsid and xargs want one.
	printf '#!/bin/sh\nexec %q --root %q --run-root %q "$@"\n' \
		"$STRATA_BIN" "$STRATA_ROOT" "$STRATA_RUN" >"$SCRATCH/bin/strata"
	chmod +x "$SCRATCH/bin/strata"
	export PATH=$SCRATCH/bin:$PATH

	"$REPO/tools/leaks" >"$SCRATCH/before"
	strata_demo_image
}

# podman and containerd look for every hierarchy of cgroups that /proc lists: also one that is mounted where we do not see it. Before
# strata_setup_file, so that it is no leak; it goes with the mount namespace of the test.
strata_hierarchies()
{
	local names
	[ "$(id -u)" = 0 ] || return 0
	while IFS=: read -r _ names _; do
		case $names in '' | name=*) continue ;; esac
		grep -Eq " - cgroup [^ ]+ [^ ]*\b${names%%,*}\b" /proc/self/mountinfo && continue
		mkdir -p "/sys/fs/cgroup/$names"
		mount -t cgroup -o "$names" cgroup "/sys/fs/cgroup/$names" || return 0
	done </proc/self/cgroup
}

# The first file imports, the others copy what it made.
strata_demo_image()
{
	mkdir -p "$STRATA_TEST_SHARED"
	exec 9>"$STRATA_TEST_SHARED/lock"
	flock 9 # files of tests run side by side
	if [ ! -d "$STRATA_TEST_SHARED/root" ]; then
		rm -rf "$DEMO_ROOTFS" "$STRATA_TEST_SHARED/new"
		"$REPO/tools/demo-image" "$DEMO_ROOTFS"
		"$STRATA_BIN" --root "$STRATA_TEST_SHARED/new" --run-root "$STRATA_TEST_SHARED/run" \
			image import "$DEMO_ROOTFS" demo
		mv "$STRATA_TEST_SHARED/new" "$STRATA_TEST_SHARED/root"
	fi
	exec 9>&-
	cp -a "$STRATA_TEST_SHARED/root" "$STRATA_ROOT"
}

strata_remove_all()
{
	local ids
	ids=$(strata ps -a -q) || return 0
	# shellcheck disable=SC2086 # one word an id
	[ -z "$ids" ] || strata rm -f $ids >/dev/null
	strata network prune -f >/dev/null 2>&1 || true
	strata network rm bridge >/dev/null 2>&1 || true
}

# What was there before may go: only what came and stayed is a leak. Dying processes get their time.
strata_leaks()
{
	local end=$((SECONDS + WAIT_SECONDS))
	while :; do
		"$REPO/tools/leaks" >"$SCRATCH/after"
		comm -13 "$SCRATCH/before" "$SCRATCH/after" >"$SCRATCH/leaks"
		[ -s "$SCRATCH/leaks" ] || return 0
		((SECONDS <= end)) || return 1
		sleep 0.2
	done
}

strata_teardown_file()
{
	[ -n "${SCRATCH:-}" ] || return 0
	local status=0
	strata_remove_all || status=1
	if ! strata_leaks; then
		echo "left behind by ${BATS_TEST_FILENAME##*/}:" >&2
		cat "$SCRATCH/leaks" >&2
		status=1
	fi
	rm -rf --one-file-system "$SCRATCH"
	return "$status"
}

setup_file()
{
	strata_setup_file
}

teardown_file()
{
	strata_teardown_file
}

# one_line_error PATTERN: what `run` saw is a failure with exactly one line, "error: ...", that matches.
one_line_error()
{
	# bats sets status, output and lines
	# shellcheck disable=SC2154
	[ "$status" -ne 0 ] || { echo "it succeeded: $output" >&2; return 1; }
	# shellcheck disable=SC2154
	[ "${#lines[@]}" -eq 1 ] || { echo "not one line: $output" >&2; return 1; }
	[[ $output == "error: "* ]] || { echo "no 'error: ': $output" >&2; return 1; }
	grep -Eqi -- "$1" <<<"$output" || { echo "does not say '$1': $output" >&2; return 1; }
}
