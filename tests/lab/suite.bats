#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The comparison's suite as it is: the image from Debian's mirror, and each command's figure in a container and on the software CPU.
bats_require_minimum_version 1.5.0

setup_file()
{
	REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export REPO STRATA_LAB_CACHE=${STRATA_LAB_CACHE:-$REPO/build/lab}
	command -v apt-get >/dev/null || skip "needs apt-get"
	LAB=$(mktemp -d /tmp/strata-suite.XXXXXX)
	export LAB PATH=$LAB/bin:$PATH
	chmod 755 "$LAB"
	mkdir "$LAB/bin"
	printf '#!/bin/sh\nexec %q --root %q --run-root %q "$@"\n' "$REPO/build/strata" "$LAB/root" "$LAB/run" >"$LAB/bin/strata"
	chmod +x "$LAB/bin/strata"
	strata image build-bench 2>"$LAB/said" || skip "the image cannot be made: $(tail -n 1 "$LAB/said")"
}

teardown_file()
{
	[ -n "${LAB:-}" ] || return 0
	strata ps -aq | xargs -r strata rm -f >/dev/null
	rm -rf "$LAB"
}

# figures VIRT [ID...]: each command in one instance of it, all its figures; but the ids
figures()
{
	local virt=$1 id seconds failed=0
	shift
	strata run -d --name suite --virt "$virt" --network none -m 512m --cap-add SYS_NICE strata-bench sleep 100000 >/dev/null
	while read -r id seconds; do
		case " $* " in *" $id "*) continue ;; esac
		if ! timeout $((20 * seconds + 60)) strata exec suite sh -c "$("$REPO/build/tests/suite_driver" command "$id")" \
			>"$LAB/out" 2>"$LAB/err" </dev/null || ! "$REPO/build/tests/suite_driver" parse "$id" <"$LAB/out" >"$LAB/figure"; then
			echo "$virt: $id: no figure: $(tail -n 3 "$LAB/out" "$LAB/err")"
			failed=1
		fi
	done < <("$REPO/build/tests/suite_driver" list)
	strata rm -f suite >/dev/null
	return $failed
}

@test "the image is made in steps that are told, and has the programs that docs/compare-suite.md names" {
	[ "$(grep -c '^bench image: ' "$LAB/said")" = 3 ]
	[ "$(strata image list -q | wc -l)" = 1 ]
	[ -z "$(ls -A "$LAB/root/tmp")" ]
	run -0 strata run --rm --network none strata-bench sh -c \
		'sysbench --version && openssl version && stress-ng --version && fio --version && nginx -v 2>&1 && redis-server --version && cat /usr/share/strata-bench/packages'
	[[ $output == *"sysbench 1.0.20"*"OpenSSL 3."*"stress-ng, version 0.15.06"*"fio-3.33"*"nginx/1.22.1"*"v=7.0."*"tcc"* ]]
}

@test "each command of the suite prints its figure in a container" {
	figures os-level
}

@test "each command of the suite prints its figure on the software CPU" {
	local kernel
	kernel=$(python3 -c "import sys; sys.path.insert(0, '$REPO/tests/lab'); import guest_image; print(guest_image.fetch_kernel('$STRATA_LAB_CACHE')[0])") ||
		skip "there is no kernel package to be had"
	[ -n "$kernel" ]
	strata image kernel fetch --from "$(find "$STRATA_LAB_CACHE/deb/" -name '*.deb' | head -n 1)" >/dev/null
	figures hosted job.gcc # minutes, and the same as job.tcc but for the compiler
}
