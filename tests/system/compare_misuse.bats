#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata compare in clumsy and hostile hands. Each test is named after what went wrong once.

bats_require_minimum_version 1.5.0
load helper

setup()
{
	cd "$SCRATCH" || return 1
}

quick()
{
	strata compare --quick --runs 1 --virt os-level "$@"
}

samples()
{
	jq -r --arg m "$2" --arg c "$3" '.metrics[] | select(.id == $m) | .cells[$c].samples[]?' "$1"
}

@test "/dev/null and a pipe named by -o were replaced by a file" {
	mknod null c 1 3
	quick -f json -o null demo true
	[ -c null ]
	mkfifo pipe
	cat pipe >read &
	quick -f json -o pipe demo true
	wait $!
	[ -p pipe ]
	[ "$(samples read workload.status os-level)" = 0 ]
	run quick --continue pipe demo true
	one_line_error "no plain file"
}

@test "a link named by -o or --continue was replaced by a file" {
	quick -f json -o target.json demo true
	ln -s target.json link.json
	quick -f json -o link.json demo false
	[ -L link.json ]
	[ "$(samples target.json workload.status os-level)" = 1 ]
	strata compare --quick --runs 2 --continue link.json demo false
	[ -L link.json ]
	[ "$(samples target.json workload.status os-level | wc -l)" = 2 ]
}

@test "a page went over the file that was continued" {
	quick -f json -o one.json demo true
	run quick --continue one.json -f html -o ./one.json demo true
	one_line_error "name another"
	[ "$(samples one.json workload.status os-level)" = 0 ]
}

@test "another kernel's, processor's or version's samples were taken for one figure with this one's" {
	local key
	for key in kernel cpu strata; do
		quick -f json -o one.json demo true
		jq --arg k $key '.host[$k] = "other"' one.json >other.json
		run quick --continue other.json -f csv -o none.csv demo true
		one_line_error "its $key was other"
		[ ! -e none.csv ]
	done
}

@test "kept to one CPU by whoever started it, it wanted two" {
	taskset -c "$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//')" \
		"$STRATA_BIN" --root "$STRATA_ROOT" --run-root "$STRATA_RUN" compare --quick --runs 1 --virt os-level -f json -o cpu.json demo true
	[[ $(jq -r .host.limits cpu.json) == *", 1 CPU" ]]
}

@test "less than a page of memory was none, and no limit" {
	local size
	for size in 0 1k 4096 5m; do
		run quick -m $size demo true
		one_line_error "at least 6m"
	done
}

@test "a pattern that matches nothing was overlooked beside one that does" {
	run strata compare --suite --quick --metric 'life.*,liff.*' demo
	one_line_error "'liff.*'"
}

@test "a full disk took what was measured along" {
	local status=0
	mkdir full
	mount -t tmpfs -o size=16k none full
	quick -f json -o full/one.json demo true
	head -c 8000 /dev/zero >full/fill
	strata compare --quick --runs 300 --virt os-level --continue full/one.json -f csv -o out.csv demo true 2>err || status=$?
	umount full
	[ "$status" != 0 ]
	grep -q "No space left" err
	[ "$(grep -c '^workload.time,os-level' out.csv)" -gt 1 ]
	[ -z "$(strata ps -aq)" ]
}

@test "under nohup it ended with the terminal" {
	local pid status=0
	nohup "$STRATA_BIN" --root "$STRATA_ROOT" --run-root "$STRATA_RUN" compare --quick --runs 5 --virt os-level -f json -o hup.json \
		demo sleep 0.2 >/dev/null 2>&1 3>&- &
	pid=$!
	wait_until test -s hup.json
	kill -HUP $pid
	wait $pid || status=$?
	[ "$status" = 0 ]
	[ "$(samples hup.json workload.time os-level | wc -l)" = 5 ]
}

@test "killed, and its directory pruned: the next one could not know what it left" {
	local pid
	"$STRATA_BIN" --root "$STRATA_ROOT" --run-root "$STRATA_RUN" compare --suite --runs 1000 --virt os-level --metric life.exec \
		-f json -o killed.json demo >/dev/null 2>&1 3>&- &
	pid=$!
	wait_until eval '[ "$(samples killed.json life.exec os-level | wc -l)" -gt 2 ]'
	kill -KILL $pid
	wait $pid || true
	[ -n "$(strata ps -aq)" ]
	strata image prune -f
	quick demo true
	[ -z "$(strata ps -aq)" ]
	[ -z "$(ls "$STRATA_ROOT/tmp")" ]
}

@test "of two that began at once each took the other for dead" {
	local i
	for i in 1 2 3 4; do
		strata compare --quick --runs 2 --virt os-level -f json -o "at-once.$i" demo true 3>&- &
	done
	wait
	for i in 1 2 3 4; do
		[ "$(samples "at-once.$i" workload.time os-level | wc -l)" = 2 ]
	done
	[ -z "$(strata ps -aq)" ]
	[ -z "$(ls "$STRATA_ROOT/tmp")" ]
}

@test "killed while crun's container was paused: nothing could kill what was frozen" {
	command -v crun >/dev/null || skip "there is no crun"
	local pid tag
	"$STRATA_BIN" --root "$STRATA_ROOT" --run-root "$STRATA_RUN" compare --suite --runs 1000 --virt crun --metric life.exec \
		-f json -o frozen.json demo >/dev/null 2>&1 3>&- &
	pid=$!
	wait_until eval '[ "$(samples frozen.json life.exec crun | wc -l)" -gt 2 ]'
	kill -KILL $pid
	wait $pid || true
	tag=$(ls "$STRATA_ROOT/tmp")
	crun --root "$STRATA_ROOT/tmp/$tag/crun" pause crun-0
	quick demo true
	[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "strata-$tag-*")" ]
	[ -z "$(ls "$STRATA_ROOT/tmp")" ]
}

@test "one failure was another's in each run, by the name of the instance" {
	strata image import -c 'ENTRYPOINT ["/nope"]' "$DEMO_ROOTFS" noentry
	strata compare --quick --runs 2 --virt os-level -f json -o entry.json noentry
	[ "$(jq -r '.metrics[0].cells["os-level"].why' entry.json)" = "exit status 127: run /nope: No such file or directory" ]
}

@test "a directory of the image's that is not there was made by all but the host" {
	strata image import -c 'WORKDIR /not/there' "$DEMO_ROOTFS" nodir
	quick -f json -o dir.json nodir sh -c 'test "$PWD" = /not/there'
	[ "$(samples dir.json workload.status host)" = 0 ]
	[ "$(samples dir.json workload.status os-level)" = 0 ]
}
