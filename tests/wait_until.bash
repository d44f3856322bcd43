# SPDX-License-Identifier: Apache-2.0
# For the helpers of tests/system and tests/lab.

# wait_until COMMAND...: until it succeeds, WAIT_SECONDS at most, for a machine that is busy. For events there is nothing to wait on.
wait_until()
{
	local end=$((SECONDS + WAIT_SECONDS))
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS > end)); then
			echo "still not so after $WAIT_SECONDS s: $*, which says: $("$@" 2>&1)" >&2
			return 1
		fi
		sleep 0.05
	done
}
