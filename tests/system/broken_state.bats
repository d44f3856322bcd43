#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A disk that is full, a state that is damaged, directories that are strange: one line says what is wrong,
# nothing is half-made, and what can work again does.
bats_require_minimum_version 1.5.0
load helper

setup()
{
	R=$SCRATCH/r$BATS_TEST_NUMBER
	mkdir -p "$R"
}

teardown()
{
	local mount
	for mount in "$R/small" "$R/run" "$R/state"; do
		mountpoint -q "$mount" || continue
		wait_until umount "$mount" # what was killed may not have gone yet
	done
}

# fresh DIR: a state directory with the image demo.
fresh() { cp -a "$STRATA_TEST_SHARED/root" "$1"; }
# s ARGUMENTS...: strata on $R/state and $R/run
s() { timeout 100 "$STRATA_BIN" --root "$R/state" --run-root "$R/run" "$@"; }

clean()
{
	# shellcheck disable=SC2046 # one word an id
	[ -z "$(s ps -a -q)" ] || s rm -f $(s ps -a -q)
	[ -z "$(ls -A "$R/state/instances" 2>/dev/null)" ]
	[ -z "$(ls -A "$R/run/instances" 2>/dev/null)" ]
}

fill()
{
	dd if=/dev/zero of="$1/filler" bs=64k status=none 2>/dev/null || true
	dd if=/dev/zero of="$1/filler2" bs=1 count=70000 status=none 2>/dev/null || true
}

@test "a full disk: each verb says so in one line, and all is well once there is room" {
	mkdir "$R/state"
	mount -t tmpfs -o size=12m none "$R/state"
	cp -a "$STRATA_TEST_SHARED/root/." "$R/state/"
	s run -d --name old --network none demo sleep 1000
	fill "$R/state"
	local verb
	for verb in "create --network none demo true" "run --rm --network none demo true" \
		"run -d --network none demo sleep 9" "volume create data" "network create wires" \
		"image import $DEMO_ROOTFS other" "rename old new"; do
		# shellcheck disable=SC2086 # words
		run s $verb
		[ "$status" -eq 0 ] || { [ "$status" -eq 125 ] && one_line_error "full|space|$R/state"; } ||
			{ echo "strata $verb: $status" >&2; return 1; }
	done
	run s volume create data # that SQLite finds it full is said with what to do
	[ "$status" -eq 125 ]
	one_line_error "is full: make room there, then try again"
	run s ps -a
	[ "$status" -eq 0 ]
	rm "$R/state"/filler*
	s exec "$(s ps -q --filter status=running | tail -1)" true
	s run --rm --network none demo true
	s image prune -f
	s volume prune -a -f
	s network prune -f
	clean
}

@test "a full run directory: one line, nothing half-made" {
	fresh "$R/state"
	mkdir "$R/run"
	mount -t tmpfs -o size=64k,nr_inodes=12 none "$R/run"
	s ps -a
	local n
	for n in 1 2 3 4 5 6 7 8 9 10 11 12; do : >"$R/run/filler$n" || break; done 2>/dev/null
	s create --name k --network none demo sleep 1000
	run s start k
	[ "$status" -eq 125 ]
	one_line_error "space"
	run s ps -q
	[ -z "$output" ]
	rm "$R/run"/filler*
	s start k
	s exec k true
	clean
}

@test "a read-only root is said in one line" {
	fresh "$R/state"
	mount --bind "$R/state" "$R/state"
	mount -o remount,bind,ro "$R/state"
	run s create demo true
	[ "$status" -eq 125 ]
	one_line_error "read-?only"
	run s image import "$DEMO_ROOTFS" other
	[ "$status" -eq 125 ]
	one_line_error "read-?only"
	umount "$R/state"
	s run --rm --network none demo true
}

@test "a database of a newer version is refused, with advice, and not touched" {
	fresh "$R/state"
	s ps
	sqlite3 "$R/state/strata.db" "UPDATE schema_version SET version = 99 WHERE room = 'manager';
		PRAGMA user_version = 999"
	run s ps
	[ "$status" -eq 125 ]
	one_line_error "newer strata"
	[ "$(sqlite3 "$R/state/strata.db" 'PRAGMA user_version')" = 999 ]
}

@test "a damaged database is said in one line" {
	local how
	for how in truncated random directory; do
		rm -rf "$R/state"
		fresh "$R/state"
		sqlite3 "$R/state/strata.db" 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
		rm -f "$R/state"/strata.db-*
		case $how in
		truncated) truncate -s 5000 "$R/state/strata.db" ;;
		random) head -c 20000 /dev/urandom >"$R/state/strata.db" ;;
		directory) rm "$R/state/strata.db" && mkdir "$R/state/strata.db" ;;
		esac
		run s ps -a
		[ "$status" -eq 125 ]
		one_line_error "strata.db"
		run s run --rm --network none demo true
		[ "$status" -eq 125 ]
		one_line_error "strata.db"
	done
}

@test "a layer that is gone is named" {
	fresh "$R/state"
	rm -rf "$R/state"/layers/*
	s create --name k --network none demo true
	run s start k
	[ "$status" -eq 125 ]
	one_line_error "layer|No such file"
	s rm k
	clean
}

@test "a run directory that was removed: what ran is ended, said, and removable" {
	fresh "$R/state"
	s run -d --name k --network none demo sleep 1000
	rm -rf "$R/run/instances"
	run s ps -a -f json
	[ "$status" -eq 0 ]
	jq -e '.[0].state == "dead" or .[0].status == "Dead" or (.[0] | tostring | test("[Dd]ead"))' <<<"$output"
	s start k
	s exec k true
	clean
	wait_until no_monitor
}

no_monitor() { ! pgrep -f "strata-monitor.*$R/run"; }

@test "a status file of nonsense does not stop anybody" {
	fresh "$R/state"
	s run -d --name k --network none demo sleep 1000
	head -c 300 /dev/urandom >"$(echo "$R"/run/instances/*/status)"
	run s ps -a
	[ "$status" -eq 0 ]
	s stop -t 0 k
	s rm k
	clean
	wait_until no_monitor
}

@test "a clock that jumped back" {
	fresh "$R/state"
	s run -d --name k --network none demo sleep 1000
	sqlite3 "$R/state/strata.db" 'UPDATE instance SET created_ns = created_ns + 1000000000000000'
	run s ps -a
	[ "$status" -eq 0 ]
	[[ $output == *" k "* ]]
	s stop -t 0 k
	s rm k
}

@test "state on tmpfs and on overlayfs" {
	mkdir "$R/state" "$R/small"
	mount -t tmpfs -o size=64m none "$R/state"
	cp -a "$STRATA_TEST_SHARED/root/." "$R/state/"
	s run --rm --network none demo true
	umount "$R/state"
	mount -t tmpfs -o size=64m none "$R/small"
	mkdir "$R/small/up" "$R/small/work"
	mount -t overlay -o "lowerdir=$STRATA_TEST_SHARED/root,upperdir=$R/small/up,workdir=$R/small/work" \
		none "$R/state"
	run s run --rm --network none demo true
	[ "$status" -eq 0 ] || one_line_error "overlay|file system"
	umount "$R/state"
}

@test "paths with spaces, colons, commas, backslashes and quotes" {
	local dir="$R/a b:c,d\\e'f\"g=h"
	mkdir "$dir"
	fresh "$dir/state"
	run timeout 100 "$STRATA_BIN" --root "$dir/state" --run-root "$dir/run" run --rm --network none demo echo in
	[ "$output" = in ]
	timeout 100 "$STRATA_BIN" --root "$dir/state" --run-root "$dir/run" run -d --name k --network none \
		-v data:/data demo sleep 1000
	timeout 100 "$STRATA_BIN" --root "$dir/state" --run-root "$dir/run" exec k touch /data/x
	timeout 100 "$STRATA_BIN" --root "$dir/state" --run-root "$dir/run" rm -f k
}

@test "a run directory whose path is longer than a socket's may be" {
	fresh "$R/state"
	local run
	run=$R/$(printf 'x%.0s' $(seq 120))/$(printf 'y%.0s' $(seq 120))
	timeout 100 "$STRATA_BIN" --root "$R/state" --run-root "$run" run -d --name k --network none demo sleep 1000
	timeout 100 "$STRATA_BIN" --root "$R/state" --run-root "$run" exec k true
	timeout 100 "$STRATA_BIN" --root "$R/state" --run-root "$run" stop -t 0 k
	timeout 100 "$STRATA_BIN" --root "$R/state" --run-root "$run" rm k
}

@test "an ordinary user is told that root is needed" {
	mkdir -m 0777 "$R/user"
	cp "$STRATA_BIN" "${STRATA_BIN%/*}/strata-monitor" "${STRATA_BIN%/*}/strata-archive" "$R/"
	chmod 0755 "$R"/strata*
	run setpriv --reuid 65534 --regid 65534 --clear-groups timeout 100 "$R/strata" --root "$R/user/root" \
		--run-root "$R/user/run" run --rm --network none demo true
	[ "$status" -eq 125 ]
	one_line_error "root|no.*image"
}

@test "an image in use stays, and one that is gone is not made an instance of" {
	fresh "$R/state"
	s create --name k --network none demo true
	run s image rm demo
	one_line_error "in use"
	local id
	id=$(sqlite3 "$R/state/strata.db" 'SELECT id FROM images')
	# As a command would that listed what is in use before k was made.
	run sqlite3 "$R/state/strata.db" "PRAGMA foreign_keys = ON; DELETE FROM images WHERE id = '$id'"
	[ "$status" -ne 0 ]
	s rm k
	s image rm demo
	run s create --network none demo true
	one_line_error "demo"
	clean
}

@test "a volume in use stays" {
	fresh "$R/state"
	s create --name k --network none -v data:/data demo true
	run s volume rm data
	[ "$status" -eq 125 ]
	one_line_error "in use"
	s rm k
	s volume rm data
}
