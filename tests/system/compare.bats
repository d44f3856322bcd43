#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata compare from outside: what it says agrees with what anybody measures by hand, and it leaves nothing behind.

bats_require_minimum_version 1.5.0
load helper

setup()
{
	cd "$SCRATCH" || return 1
	rm -f ./*.json
}

teardown()
{
	strata_remove_all
}

# figure FILE METRIC COLUMN: its samples, one a line
samples()
{
	jq -r --arg m "$2" --arg c "$3" '.metrics[] | select(.id == $m) | .cells[$c].samples[]?' "$1"
}

why()
{
	jq -r --arg m "$2" --arg c "$3" '.metrics[] | select(.id == $m) | .cells[$c].why // ""' "$1"
}

columns()
{
	command -v crun >/dev/null && echo os-level,crun || echo os-level
}

# agree WHAT FILE FILE: medians within 10 %, or the quartiles overlap: two series of one thing
agree()
{
	python3 - "$@" <<-'END'
		import statistics, sys
		what, *files = sys.argv[1:]
		one, two = ([float(line) for line in open(name)] for name in files)
		assert len(one) == len(two) == 20, (what, len(one), len(two))
		(q1, m1, p1), (q2, m2, p2) = (statistics.quantiles(s, n=4, method="inclusive") for s in (one, two))
		print(f"{what}: {q1:.2f} {m1:.2f} {p1:.2f}; by hand {q2:.2f} {m2:.2f} {p2:.2f}")
		sys.exit(0 if abs(m1 - m2) <= 0.1 * m2 or (q1 <= p2 and q2 <= p1) else 1)
	END
}

# shellcheck disable=SC2016 # for a shell of its own
LOOP='i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'

# ms COMMAND...: of its wall clock
ms()
{
	local begin=$EPOCHREALTIME
	"$@" >/dev/null
	python3 -c "print(($EPOCHREALTIME - $begin) * 1000)"
}

cpu_ms()
{
	local TIMEFORMAT='%U %S' used
	used=$({ time "$@" >/dev/null 2>&1; } 2>&1)
	python3 -c "print(sum(map(float, '$used'.split())) * 1000)"
}

# PSS of an idle instance and all below its monitor, MiB
idle_mib()
{
	python3 - "$(strata inspect "$1" | jq '.[0].state.monitor_pid')" <<-'END'
		import os, re, sys
		parents = {}
		for pid in filter(str.isdigit, os.listdir("/proc")):
		    try:
		        parents[int(pid)] = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
		    except OSError:
		        pass
		tree = {int(sys.argv[1])}
		while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
		    tree |= more
		print(sum(int(re.search(r"\nPss: +(\d+)", open(f"/proc/{pid}/smaps_rollup").read())[1]) for pid in tree) / 1024)
	END
}

is_idle()
{
	[ "$(strata logs idle)" = idle ]
}

# shellcheck disable=SC2094 # columns are called as files are
@test "twenty pairs: the figures are those that anybody takes by hand" {
	local i
	for ((i = 0; i < 20; i++)); do
		strata compare --quick --runs 1 --virt os-level -f json -o c.json demo sh -c "$LOOP" 2>/dev/null
		samples c.json workload.time host >>host
		samples c.json workload.cpu host >>cpu
		samples c.json workload.time os-level >>os
		ms chroot "$DEMO_ROOTFS" sh -c "$LOOP" >>host.hand
		cpu_ms chroot "$DEMO_ROOTFS" sh -c "$LOOP" >>cpu.hand
		ms strata run --rm --virt os-level --network none -m 512m --cpus 2 demo sh -c "$LOOP" >>os.hand
		strata compare --suite --quick --runs 1 --virt os-level --metric memory.overhead -f json -o m.json demo 2>/dev/null
		samples m.json memory.overhead os-level >>memory
		strata run -d --name idle --virt os-level --network none -m 512m --cpus 2 demo \
			sh -c "trap 'exit 0' TERM; echo idle; while :; do sleep 1000 & wait \$!; done" >/dev/null
		wait_until is_idle
		idle_mib idle >>memory.hand
		strata rm -f idle >/dev/null
	done
	agree "host, time in ms" host host.hand
	agree "host, CPU time in ms" cpu cpu.hand
	agree "os-level, time in ms" os os.hand
	agree "os-level, an idle instance in MiB" memory memory.hand
}

@test "one workload under the host, a container of ours and crun's, in each format" {
	local column metric
	run --separate-stderr strata compare --quick --virt "$(columns)" -f json -o all.json --parse 'n=([0-9]+)' demo \
		sh -c 'echo n=5; echo "{\"inner\": 2.5, \"pid\": $$}"'
	[ "$status" = 0 ]
	[ -z "$output" ]
	# shellcheck disable=SC2154 # bats sets it
	[[ $stderr == *"measuring workload"* ]]
	for column in host $(columns | tr , ' '); do
		for metric in time cpu memory status parsed inner pid; do
			[ "$(samples all.json workload.$metric "$column" | wc -l)" = 5 ] || { echo "$metric of $column"; return 1; }
		done
		[ "$(samples all.json workload.parsed "$column" | sort -u)" = 5 ]
	done
	[ "$(samples all.json workload.pid os-level | sort -u)" = 1 ]
	[ "$(jq -r '.host.cpu, .host.kernel, .host.nesting, .host.limits' all.json | grep -c .)" = 4 ]
	[ "$(jq '.ended_ns > .started_ns' all.json)" = true ]
	cp all.json more.json
	for format in table csv md html; do
		# all is there: nothing is measured again
		strata compare --quick --continue more.json --virt "$(columns)" -f $format -o "report.$format" --parse 'n=([0-9]+)' demo \
			sh -c 'echo n=5; echo "{\"inner\": 2.5, \"pid\": $$}"'
		grep -q "time from start to end\|workload.time" "report.$format"
	done
	[ "$(jq -c .metrics all.json)" = "$(jq -c .metrics more.json)" ]
}

@test "a workload that fails, hangs or prints garbage under one architecture is shown as that" {
	strata compare --quick --virt "$(columns)" -f json -o fail.json demo sh -c 'test $$ != 1 || { echo "no $$" >&2; exit 3; }' 2>/dev/null
	[ "$(samples fail.json workload.status os-level | sort -u)" = 3 ]
	[ "$(why fail.json workload.time os-level)" = "exit status 3: no 1" ]
	[ "$(samples fail.json workload.time host | wc -l)" = 5 ]

	strata compare --quick --runs 2 --timeout 4 --virt "$(columns)" -f json -o hang.json demo sh -c 'test $$ != 1 || sleep 1000' 2>/dev/null
	[ "$(why hang.json workload.time os-level)" = "no end in 4 s" ]
	[ "$(samples hang.json workload.time host | wc -l)" = 2 ]
	[ -z "$(strata ps -aq)" ]

	strata compare --quick --runs 2 --virt os-level --parse 'n=([0-9]+)' -f json -o garbage.json demo \
		sh -c 'if test $$ = 1; then head -c 3000 /dev/urandom | tr n m; else echo n=7; fi' 2>/dev/null
	[[ $(why garbage.json workload.parsed os-level) == *"nothing that --parse matches" ]]
	[ "$(samples garbage.json workload.parsed host | sort -u)" = 7 ]

	strata compare --quick --runs 2 --virt "$(columns)" -f json -o none.json demo nosuch 2>/dev/null
	[ "$(samples none.json workload.status host | sort -u)" = 127 ]
	[ "$(samples none.json workload.status os-level | sort -u)" = 127 ]
	[[ $(why none.json workload.time host) == "exit status 127: nosuch: No such file"* ]]
}

# one of its samples is in the file
has_sample()
{
	[ "$(jq '[.metrics[].cells[].samples | length] | add // 0' "$1" 2>/dev/null || echo 0)" -ge "$2" ]
}

# without the test's own wrapper, whose shell would take the signal
interrupted()
{
	"$STRATA_BIN" --root "$STRATA_ROOT" --run-root "$STRATA_RUN" compare --suite --quick --virt "$(columns)" --metric "life.*" \
		"$@" demo >/dev/null 2>err 3>&- &
	pid=$!
}

@test "interrupted it leaves nothing, and what is missing is measured then" {
	local signal pid status tag
	for signal in INT TERM; do
		rm -f state.json
		interrupted -f json -o state.json
		wait_until has_sample state.json 4
		tag=$(ls "$STRATA_ROOT/tmp")
		kill -$signal $pid
		status=0
		wait $pid || status=$?
		[ "$status" = 130 ]
		grep -q -- "--continue state.json" err
		[ -z "$(strata ps -aq)" ]
		[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "strata-$tag-*")" ]
		[ -z "$(ls "$STRATA_ROOT/tmp")" ]
		[ "$(jq .ended_ns state.json)" = 0 ]
		strata compare --runs 0 --continue state.json | grep -q "start to the first byte"
	done
	cp state.json half.json
	interrupted --continue state.json -f json -o all.json
	wait $pid
	[ "$(jq -c '[.metrics[].cells[] | .samples | length] | unique' all.json)" = "[5]" ]
	# what was there is there still, in front
	jq -e -n --slurpfile a half.json --slurpfile b all.json '[range($a[0].metrics | length) as $m |
		$a[0].metrics[$m].cells | to_entries[] | .key as $c | .value.samples as $s |
		$b[0].metrics[$m].cells[$c].samples[:($s | length)] == $s] | all'
}

@test "a tag that names another image by now is no more to be continued" {
	strata image import "$DEMO_ROOTFS" moves
	strata compare --suite --quick --runs 1 --virt os-level --metric life.exec -f json -o moves.json moves 2>/dev/null
	run -0 strata compare --suite --quick --runs 1 --virt os-level --metric life.exec --continue moves.json moves
	strata image import --change 'ENV A=b' "$DEMO_ROOTFS" moves
	run strata compare --suite --quick --runs 1 --virt os-level --metric life.exec --continue moves.json moves
	one_line_error 'moves.json: its image was [0-9a-f]{12}, here it is [0-9a-f]{12}: name another file'
	strata image rm -f moves
}

@test "killed it cannot clean up: the next one does" {
	local pid tag
	"$STRATA_BIN" --root "$STRATA_ROOT" --run-root "$STRATA_RUN" compare --suite --runs 1000 --virt "$(columns)" --metric life.exec \
		-f json -o killed.json demo >/dev/null 2>err 3>&- &
	pid=$!
	wait_until has_sample killed.json 6
	tag=$(ls "$STRATA_ROOT/tmp")
	kill -KILL $pid
	wait $pid || true
	[ -n "$(strata ps -aq)" ]
	# what the killed one had just asked for may come up while the next one looks: then it is the one after that
	for _ in 1 2 3; do
		strata compare --quick --runs 1 --virt os-level demo true >/dev/null 2>&1
		[ -n "$(strata ps -aq)" ] || break
	done
	[ -z "$(strata ps -aq)" ]
	[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "strata-$tag-*")" ]
	[ -z "$(ls "$STRATA_ROOT/tmp")" ]
}

@test "what crun makes where a hierarchy's place is, and no hierarchy, goes too" {
	command -v crun >/dev/null || skip "needs crun"
	local place made=
	for place in net_cls hugetlb; do # crun goes by /proc/self/cgroup
		grep -q ":$place:" /proc/self/cgroup && ! mountpoint -q "/sys/fs/cgroup/$place" || continue
		mkdir -p "/sys/fs/cgroup/$place" && made=$place && break
	done
	[ -n "$made" ] || skip "every hierarchy that there is is mounted"
	strata compare --quick --suite --runs 1 --virt crun --metric life.run demo >/dev/null 2>&1
	run -0 find "/sys/fs/cgroup/$made" -mindepth 1
	rmdir "/sys/fs/cgroup/$made"
	[ -z "$output" ]
}

@test "an older comparison: what got worse is said, and fails above a limit" {
	strata compare --quick --virt os-level -f json -o now.json demo sh -c "$LOOP" 2>/dev/null
	run -0 strata compare --quick --virt os-level --continue now.json --baseline now.json --fail-above 0 demo sh -c "$LOOP"
	jq '(.metrics[] | select(.id == "workload.time") | .cells[] | .samples) |= map(. / 100)' now.json >better.json
	run strata compare --quick --virt os-level --continue now.json --baseline better.json --fail-above 50 demo sh -c "$LOOP"
	[ "$status" = 1 ]
	[[ $output == *"got worse by more than 50 %"* ]]
}

@test "the same image under the software CPU, and whoever cannot run says why" {
	run strata compare --quick --runs 1 --virt hosted,qemu-tcg demo true
	[ "$status" = 0 ]
	[[ $output == *"hosted does not run here: "*"image kernel fetch"* ]]
	python3 -c "import sys; sys.path.insert(0, '$REPO/tests/lab'); import guest_image; print(guest_image.fetch_kernel('${STRATA_LAB_CACHE:-$REPO/build/lab}')[0])" \
		>/dev/null || skip "there is no kernel package to be had"
	strata image kernel fetch --from "$(find "${STRATA_LAB_CACHE:-$REPO/build/lab}/deb/" -name '*.deb' | head -n 1)"
	strata compare --quick --runs 1 --virt hosted,qemu-kvm -f json -o vm.json demo sh -c 'echo "{\"pid\": $$}"; uname -r >&2; exit 4'
	[ "$(samples vm.json workload.status hosted)" = 4 ]
	[[ $(why vm.json workload.time hosted) == "exit status 4: 6."* ]]
	# QEMU's KVM can or cannot; either way it is a line
	[ "$(jq '.columns[] | select(.id == "qemu-kvm") | (.why // "it can") | length > 5' vm.json)" = true ]
	strata compare --suite --quick --runs 1 --virt hosted --metric 'life.exec,life.pause,memory.overhead' -f json -o life.json demo
	for metric in life.exec life.pause memory.overhead; do
		[ "$(samples life.json $metric hosted | wc -l)" = 1 ]
	done
	strata compare --suite --quick --runs 1 --virt hosted,os-level --metric 'exits.all,exits.start' -f json -o exits.json demo
	[ "$(samples exits.json exits.all hosted)" -gt 100 ] # of a command, of a boot
	[ "$(samples exits.json exits.start hosted)" -gt 100000 ]
	[ "$(why exits.json exits.all os-level)" = "no exits: no machine" ]
}

@test "wrong uses: one line that says what to do" {
	local args
	while IFS='|' read -r args said; do
		# shellcheck disable=SC2086 # words
		run strata compare $args
		one_line_error "$said"
	done <<-'END'
		--virt nosuch demo true|there is no 'nosuch'; there are host, os-level
		--parse [0-9]+ demo true|put the number into a group
		--parse ([0-9 demo true|--parse
		--parse (x)|name an image and a command
		nosuch true|nosuch
		demo|
		--quick --full demo true|give one of them
		--fail-above 10 demo true|--baseline
		--baseline nosuch.json demo true|nosuch.json
		--continue nosuch.json demo true|nosuch.json
		--metric life.* demo true|--suite
		--suite demo true|leave out
		--suite --metric nosuch.* demo|no metric
		demo --quick|flags come before the image
		--cpus 60 demo true|--cpus 60
		--timeout 10ms demo true|a second
		--format yaml demo true|none of table
		-f json -o /nosuch/file demo true|/nosuch/file
		--runs 0 demo true|--continue
		--runs x demo true|--runs
	END
	run strata compare
	one_line_error "strata image build-bench"
	strata compare --quick --runs 1 --virt os-level -f json -o one.json demo true 2>/dev/null
	run strata compare --quick --virt os-level --continue one.json demo false
	one_line_error "it is of demo true"
	run strata compare --quick --virt os-level -m 300m --continue one.json demo true
	one_line_error "give the same -m"
	[ -z "$(strata ps -aq)" ]
}
