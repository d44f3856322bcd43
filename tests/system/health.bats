#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An instance's own check: --health-cmd and its like, what ps, inspect and events say of it.
load helper

teardown() {
	strata rm -f h >/dev/null 2>&1 || true
}

health_of() {
	strata inspect "$1" | jq -r '.[0].state.health.status'
}

is() {
	[ "$(health_of "$1")" = "$2" ]
}

check_of() {
	strata inspect "$1" | jq -r ".[0].state.health.log[-1].$2"
}

@test "healthy, unhealthy, and healthy again" {
	strata run -d --network none --name h --health-cmd 'echo "ok $(cat /ok)"; test -e /ok' \
		--health-interval 50ms --health-retries 2 demo sleep 1000 >/dev/null
	strata ps; [[ "$(strata ps)" == *"ealth"* ]]
	wait_until is h unhealthy
	[[ "$(strata ps)" == *"(unhealthy)"* ]]
	[ "$(check_of h exit_code)" = 1 ]
	strata exec h sh -c 'echo yes >/new; mv /new /ok'
	wait_until is h healthy
	[ "$(check_of h output)" = "ok yes" ]
	[ "$(strata inspect h | jq '.[0].state.health.failing_streak')" = 0 ]
	[ "$(strata ps -q --filter health=healthy | wc -l)" = 1 ]
	[ "$(strata ps -q --filter health=unhealthy | wc -l)" = 0 ]
	[ "$(strata inspect h | jq '.[0].state.health.log | length')" -le 5 ]
	strata events --since 1h --until 0s | grep -o 'health_status: [a-z]*' >"$SCRATCH/told"
	[ "$(tr '\n' ' ' <"$SCRATCH/told")" = "health_status: unhealthy health_status: healthy " ]
	strata rm -f h
}

@test "a check that hangs is killed, and counts" {
	strata run -d --network none --name h --health-cmd 'echo waits; sleep 777' --health-interval 20ms \
		--health-timeout 100ms --health-retries 1 demo sleep 1000 >/dev/null
	wait_until is h unhealthy
	[ "$(check_of h exit_code)" = -1 ]
	[[ "$(check_of h output)" == *"longer than 100 ms"* ]]
	gone() { ! strata top h | grep -q "sleep 777" || strata top h | grep -c "sleep 777" | grep -qx 1; }
	wait_until gone # at most the one that runs now
	strata rm -f h
}

@test "what cannot be run, and what floods, is a failed check and no more" {
	strata run -d --network none --name h --health-cmd 'yes flood | head -c 3000000; printf "\377"; exit 7' \
		--health-interval 20ms --health-retries 1 demo sleep 1000 >/dev/null
	wait_until is h unhealthy
	[ "$(check_of h exit_code)" = 7 ]
	[ "$(check_of h output | wc -c)" -le 4097 ]
	strata rm -f h
}

@test "a failure in the start period does not count, a success ends it" {
	strata run -d --network none --name h --health-cmd 'test -e /ok' --health-interval 20ms --health-retries 1 \
		--health-start-period 1h --health-start-interval 20ms demo sleep 1000 >/dev/null
	failed() { [ "$(check_of h exit_code)" = 1 ]; }
	wait_until failed
	is h starting
	strata exec h touch /ok
	wait_until is h healthy
	strata exec h rm /ok
	wait_until is h unhealthy
	strata rm -f h
}

@test "a paused instance is not checked" {
	strata run -d --network none --name h --health-cmd 'test ! -e /bad' --health-interval 20ms --health-retries 1 \
		--health-timeout 2s demo sleep 1000 >/dev/null
	wait_until is h healthy
	strata pause h
	before=$(check_of h end) was=$(health_of h) # a busy machine may have been too slow for one
	sleep 2.5 # longer than its time limit
	[ "$(check_of h end)" = "$before" ]
	is h "$was"
	strata resume h
	again() { [ "$(check_of h end)" != "$before" ]; }
	wait_until again
	wait_until is h healthy
	strata rm -f h
}

@test "a check that was paused halfway does not hold its monitor up, nor where the freezer holds its death back" {
	grep -q " - cgroup .*freezer" /proc/self/mountinfo || skip "needs the freezer of cgroup v1"
	unshare --mount --propagation private bash <<-'END'
		set -eu
		# Version 1 alone: what is frozen there does not die.
		for place in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts); do umount "$place"; done
		strata run -d --network none --name h --health-cmd 'sleep 777' --health-interval 20ms demo sleep 1000 >/dev/null
		until strata top h | grep -q "sleep 777"; do sleep 0.05; done
		strata pause h
		# It hears who wants to attach (manager/wire.h), and answers.
		python3 - "$STRATA_RUN/instances/$(strata inspect h | jq -r '.[0].id')/sock" <<-'P'
			import socket, sys
			s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
			s.settimeout(60)
			s.connect(sys.argv[1])
			s.send(b"a")
			assert s.recv(100)[:1] == b"A"
		P
		strata resume h
		until strata top h | grep -q "sleep 777"; do sleep 0.05; done
		strata rm -f h
	END
}

@test "an end takes the check along, a restart begins anew" {
	strata run -d --network none --name h --health-cmd 'sleep 777' --health-interval 20ms demo sleep 1000 >/dev/null
	checking() { strata top h | grep -q "sleep 777"; }
	wait_until checking
	strata stop -t 0 h
	[ "$(health_of h)" = null ]
	[[ "$(strata ps -a)" != *ealth* ]]
	strata start h
	is h starting
	strata rm -f h
	run strata run --rm --network none --health-cmd true --health-interval 1ms demo sh -c 'sleep 0.2; exit 4'
	[ "$status" = 4 ]
}

@test "an image's HEALTHCHECK holds, and can be dropped" {
	mkdir "$SCRATCH/image"
	strata image export demo -o "$SCRATCH/demo.tar"
	tar -xf "$SCRATCH/demo.tar" -C "$SCRATCH/image"
	python3 - "$SCRATCH/image" <<-'EOF'
		import hashlib, json, os, sys
		top = sys.argv[1]
		def blob(digest): return os.path.join(top, "blobs/sha256", digest.split(":")[1])
		def put(obj):
		    data = json.dumps(obj).encode()
		    digest = "sha256:" + hashlib.sha256(data).hexdigest()
		    open(blob(digest), "wb").write(data)
		    return {"digest": digest, "size": len(data)}
		index = json.load(open(os.path.join(top, "index.json")))
		manifest = json.load(open(blob(index["manifests"][0]["digest"])))
		config = json.load(open(blob(manifest["config"]["digest"])))
		config["config"]["Healthcheck"] = {"Test": ["CMD", "test", "-d", "/"], "Interval": 20000000, "Retries": 9}
		manifest["config"].update(put(config))
		index["manifests"][0].update(put(manifest))
		json.dump(index, open(os.path.join(top, "index.json"), "w"))
	EOF
	rm -f "$SCRATCH/image/manifest.json" # Docker's own, of the old config
	tar -cf "$SCRATCH/checked.tar" -C "$SCRATCH/image" .
	strata image import "$SCRATCH/checked.tar" checked
	strata run -d --network none --name h checked sleep 1000 >/dev/null
	wait_until is h healthy
	[ "$(strata inspect h | jq -c '.[0].health | [.args, .interval_ms, .retries]')" = '[["test","-d","/"],20,9]' ]
	strata rm -f h
	strata run -d --network none --name h --health-retries 1 --health-cmd false checked sleep 1000 >/dev/null
	wait_until is h unhealthy # the image's interval, the flag's command
	strata rm -f h
	strata create --name h --no-healthcheck checked true >/dev/null
	[ "$(strata inspect h | jq '.[0].health')" = null ]
	strata rm h
}

@test "wrong flags get a line that says what is right" {
	run strata create --health-interval 1s demo true
	[ "$status" = 125 ]
	[[ "$output" == *"add --health-cmd"* ]]
	run strata create --health-cmd true --no-healthcheck demo true
	[ "$status" = 125 ]
	run strata create --health-cmd true --health-timeout soon demo true
	[[ "$status" = 125 && "$output" == *"--health-timeout: 'soon'"* ]]
	run strata create --health-cmd true --health-retries 0 demo true
	[ "$status" = 125 ]
	run strata create --health-cmd "" demo true
	[ "$status" = 125 ]
	[ -z "$(strata ps -aq)" ]
}
