#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The comparison's suite as it is: the image from Debian's mirror, and each command's figure in a container and on the software CPU.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	command -v apt-get >/dev/null || skip "needs apt-get"
	lab_strata
	strata image build-bench 2>"$LAB/said" || skip "the image cannot be made: $(tail -n 1 "$LAB/said")"
}

teardown_file()
{
	lab_remove
}

# figures VIRT [ID...]: each command in one instance of it, all its figures; but the ids
figures()
{
	local virt=$1 id seconds failed=0
	shift
	strata run -d --name suite --virt "$virt" --network none -m 512m --cap-add SYS_NICE strata-bench sleep 100000 >/dev/null
	while read -r id seconds; do
		case " $* " in *" $id "*) continue ;; esac
		if ! timeout $((20 * seconds + 300)) strata exec suite sh -c "$("$REPO/build/tests/suite_driver" command "$id")" \
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

# Regression: iperf3 -J and sockperf leave with 0 where nobody listens yet, and the first try was the last.
@test "a server that is slow to listen is waited for" {
	local id
	strata run -d --name slow --network none -m 512m strata-bench sleep 100000 >/dev/null
	strata exec slow sh -ec 'mkdir -p /usr/local/bin; cd /usr/local/bin
		late() { printf "%s\n" "#!/bin/sh" "case \"\$0 \$*\" in $2 esac" "exec /usr/bin/$1 \"\$@\"" >$1; chmod +x $1; }
		for p in iperf3 redis-server; do
			late $p "*\ -s*|*-server*) (sleep 1; exec /usr/bin/$p \"\$@\") & exit ;;" # goes into the background itself
		done
		late sockperf "*\ server*) sleep 1 ;;"'
	for id in network.stream network.latency service.set; do
		timeout 300 strata exec slow sh -c "$("$REPO/build/tests/suite_driver" command $id)" >"$LAB/out" 2>&1 </dev/null
		"$REPO/build/tests/suite_driver" parse $id <"$LAB/out"
	done
	strata rm -f slow >/dev/null
}

@test "each command of the suite prints its figure on the software CPU" {
	lab_kernel >/dev/null
	[ -s "$LAB/kernel" ]
	figures hosted job.gcc # minutes, and the same as job.tcc but for the compiler
}
