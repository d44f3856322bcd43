#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers of an ordinary user, who is made here: accounts, /dev/net/tun and a cgroup are the test's own, in a mount namespace.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
bats_require_minimum_version 1.5.0
load helper

USER_ID=54321 # nobody's

setup_file()
{
	strata_setup_file
	export ETC=$SCRATCH/etc USER_HOME=$SCRATCH/user USER_ID
	mkdir -p "$ETC" "$USER_HOME/run" "$SCRATCH/dev"
	cp /etc/passwd /etc/group "$ETC"
	echo "strat:x:$USER_ID:$USER_ID::$USER_HOME:/bin/sh" >>"$ETC/passwd"
	echo "other:x:54322:54322::/:/bin/sh" >>"$ETC/passwd"
	printf 'strat:700000:65536\nother:800000:65536\n' | tee "$ETC/subuid" >"$ETC/subgid"
	touch /etc/subuid /etc/subgid
	chown -R $USER_ID:$USER_ID "$USER_HOME"
	as_user test -x "$STRATA_BIN" -a -w "$USER_HOME" || skip "an ordinary user cannot get at $STRATA_BIN"
	as_user unshare -Urm true 2>/dev/null || skip "this host gives no user namespaces"
	command -v newuidmap >/dev/null || skip "needs newuidmap: make setup"
	owned_image
	u image import "$SCRATCH/owned.tar" owned
	u image import "$SCRATCH/plain.tar" plain
}

# Owners, modes, a set-user-ID program, a device, and a directory that hides what is below it; and one with no owner but root.
owned_image()
{
	cp -a "$DEMO_ROOTFS" "$SCRATCH/rootfs"
	tar -C "$SCRATCH/rootfs" --numeric-owner --owner 0 --group 0 -cf "$SCRATCH/plain.tar" .
	(
		cd "$SCRATCH/rootfs" || exit
		mkdir srv/data srv/closed
		echo text >srv/data/file
		cp bin/busybox srv/ids
		chown -R 1234:5678 srv
		chmod 4755 srv/ids
		chmod 0 srv/closed
		mknod srv/disk b 8 0
		chmod 666 srv/disk
	)
	tar -C "$SCRATCH/rootfs" --numeric-owner -cf "$SCRATCH/owned.tar" .
}

# layered: an OCI archive of two layers on standard output, the upper of which hides a file and what a directory held
layered()
{
	python3 - "$SCRATCH/rootfs" <<-'END'
		import hashlib, io, json, sys, tarfile

		def tar(fill):
		    out = io.BytesIO()
		    with tarfile.open(fileobj=out, mode="w") as t:
		        fill(t)
		    return out.getvalue()

		def entry(t, name, kind=tarfile.REGTYPE):
		    info = tarfile.TarInfo(name)
		    info.type, info.uid, info.gid, info.mode = kind, 0, 0, 0o755
		    t.addfile(info)

		def lower(t):
		    t.add(sys.argv[1] + "/bin", "bin")
		    for name in "gone", "dir/old", "kept":
		        entry(t, name)

		def upper(t):
		    entry(t, ".wh.gone")
		    entry(t, "dir", tarfile.DIRTYPE)
		    entry(t, "dir/.wh..wh..opq")
		    entry(t, "dir/new")

		blobs = {}
		def put(data):
		    data = data if isinstance(data, bytes) else json.dumps(data).encode()
		    name = hashlib.sha256(data).hexdigest()
		    blobs["blobs/sha256/" + name] = data
		    return {"digest": "sha256:" + name, "size": len(data)}

		layers = [put(tar(lower)), put(tar(upper))]
		config = put({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
		              "rootfs": {"type": "layers", "diff_ids": [l["digest"] for l in layers]}})
		oci = "application/vnd.oci.image."
		manifest = put({"schemaVersion": 2, "config": {"mediaType": oci + "config.v1+json", **config},
		                "layers": [{"mediaType": oci + "layer.v1.tar", **l} for l in layers]})
		blobs["oci-layout"] = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
		blobs["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": oci + "manifest.v1+json", **manifest}]}).encode()
		with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as t:
		    for name, data in blobs.items():
		        info = tarfile.TarInfo(name)
		        info.size = len(data)
		        t.addfile(info, io.BytesIO(data))
	END
}

setup()
{
	cd "$USER_HOME" || return 1
}

teardown()
{
	local ids
	ids=$(u ps -a -q) || return 0
	# shellcheck disable=SC2086 # one word an id
	[ -z "$ids" ] || u rm -f $ids >/dev/null
	[ -z "$(ls -A "$USER_HOME/run/strata/instances" 2>/dev/null)" ]
	[ -z "$(ls -A "$USER_HOME/.local/share/strata/instances" 2>/dev/null)" ]
	[ -z "$(ls -A "$USER_HOME/.local/share/strata/tmp" 2>/dev/null)" ]
}

# as_user COMMAND...: no root and no group. AS=ID: another user; SUBIDS=no: nothing gives him other ids; TUN=no: no passt;
# GROUP=DIR: in that cgroup
as_user()
{
	unshare -m sh -c '
		for f in passwd group subuid subgid; do mount --bind "$ETC/$f" "/etc/$f" || exit 120; done
		mount -t tmpfs -o mode=755 none "$SCRATCH/dev" || exit 120
		if [ "${TUN:-yes}" = yes ] && [ -c /dev/net/tun ]; then
			mknod "$SCRATCH/dev/tun" c 10 200 && chmod 666 "$SCRATCH/dev/tun" || exit 120
			mount --bind "$SCRATCH/dev/tun" /dev/net/tun || exit 120
		fi
		[ -z "${GROUP:-}" ] || echo $$ >"$GROUP/cgroup.procs" || exit 120
		[ "${SUBIDS:-yes}" = yes ] || limit=--no-new-privs
		exec setpriv --reuid "$0" --regid "$0" --clear-groups ${limit:-} env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			HOME="$USER_HOME" STRATA_BIN="$STRATA_BIN" XDG_RUNTIME_DIR="$USER_HOME/run" "$@"
	' "${AS:-$USER_ID}" "$@"
}

u() { as_user timeout --foreground 200 "$STRATA_BIN" "$@"; }
export -f u as_user

run_in() { u run --rm --network none owned "$@"; }
running() { [ "$(state "$1" status)" = running ]; }
ended() { [ "$(state "$1" status)" != running ]; }
is_dead() { [ "$(state "$1" status)" = dead ]; }
none_of_his() { ! pgrep -u $USER_ID; }
state() { u inspect "$1" | jq -r ".[0].state.$2"; }
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

refused()
{
	local pattern=$1
	shift
	run u run --rm --network none "$@" owned true
	[ "$status" = 125 ] || { echo "status $status for $*: $output" >&2; return 1; }
	one_line_error "$pattern"
}

@test "an image is a container's, and root of it he himself" {
	[[ $(u info) =~ os-level\ +yes ]]
	run u run --rm --network none owned sh -c 'id -u; cat /proc/self/uid_map; exit 7'
	[ "$status" = 7 ]
	[ "${lines[0]}" = 0 ]
	[ "$(echo "${lines[2]}" | tr -s ' ')" = " 1 1 65536" ] # of the monitor's namespace, which has them from subuid
	u run -d --name w --network none owned sleep 1000
	[ "$(u ps | awk 'END { print $NF }')" = os-level ]
	[ "$(awk '/^Uid:/ { print $2 }' "/proc/$(state w pid)/status")" = $USER_ID ]
	[ "$(u exec --user 1234 w id -u)" = 1234 ]
	u exec -d --user 1234 w sleep 1000
	[ "$(u top w | grep -c 701233)" = 1 ]
}

@test "owners, modes and what a layer hides are the image's; devices are left out" {
	run run_in sh -c 'stat -c %u:%g:%a /srv/data/file /srv/ids /srv/closed; ls /srv/disk 2>/dev/null || echo none'
	[ "${lines[0]}" = 1234:5678:644 ]
	[ "${lines[1]}" = 1234:5678:4755 ]
	[ "${lines[2]}" = 1234:5678:0 ]
	[ "${lines[3]}" = none ]
	layered >"$SCRATCH/layered.tar"
	u image import "$SCRATCH/layered.tar" layered
	[ "$(u run --rm --network none layered sh -c 'ls / /dir | grep -xE "gone|kept|old|new"' | tr '\n' ' ')" = "kept new " ]
	u image rm layered >/dev/null
	# The host shows them as his other ids, and nobody else gets there.
	[ "$(find "$USER_HOME/.local/share/strata/owned" -name ids -printf '%U:%G')" = 701233:705677 ]
	AS=54322 run as_user find "$USER_HOME/.local/share/strata/owned" -name ids
	[ "$status" -ne 0 ]
}

@test "life: stats, pause, cp, logs, restart, events, health, and what a stop leaves" {
	u run -d --name w --network none --health-cmd 'test -e /ok' --health-interval 100ms --restart on-failure:1 owned \
		sh -c 'echo said; touch /ok /upper; chown 77:78 /upper; trap "exit 0" TERM; while :; do sleep 0.05; done'
	healthy() { [ "$(u inspect w | jq -r '.[0].state.health.status')" = healthy ]; }
	wait_until healthy
	[ "$(u logs w)" = said ]
	[ "$(u stats --no-stream -f json w | jq '.[0].pids')" -ge 1 ]
	u pause w
	[ "$(state w status)" = paused ]
	grep -q '^State:.T' "/proc/$(state w pid)/status"
	u resume w
	grep -q '^State:.[^T]' "/proc/$(state w pid)/status"
	u cp w:/upper "$USER_HOME/upper"
	[ "$(stat -c %u "$USER_HOME/upper")" = $USER_ID ]
	as_user sh -c 'echo in >in'
	u cp in w:/srv/data
	[ "$(u exec w stat -c %u:%g /srv/data/in)" = 0:0 ]
	u stop w
	[ "$(state w exit_code)" = 0 ]
	u cp w:/srv/data/in "$USER_HOME/back" # at rest
	[ "$(cat back)" = in ]
	u start w
	[ "$(u exec w stat -c %u:%g /upper)" = 77:78 ]
	run u update --memory 64m w
	one_line_error 'no cgroup'
	u rm -f w
}

@test "a terminal, --init, another user, read-only, tmpfs, privileged in his own namespace only" {
	run env SHELL=/bin/bash script -qec 'u run --rm -it --network none owned tty' /dev/null </dev/null
	[[ $output == *"/dev/pts/0"* ]]
	[ "$(u run --rm --network none --init owned cat /proc/1/comm)" = strata-init ]
	[ "$(u run --rm --network none --user 1234:5678 owned id -u)" = 1234 ]
	run u run --rm --network none --read-only --tmpfs /t owned sh -c 'touch /t/x && touch /x'
	[[ $output == *"Read-only"* ]]
	run u run --rm --network none --privileged owned sh -c 'mount -t tmpfs none /mnt && mknod /mnt/x b 8 0'
	[[ $output == *"not permitted"* ]]
	# root there owns the mount namespace, and not what was handed in read-only
	mkdir -p "$SCRATCH/kept"
	chown $USER_ID "$SCRATCH/kept"
	run u run --rm --network none --privileged -v "$SCRATCH/kept:/kept:ro" owned sh -c 'mount -o remount,bind,rw /kept; touch /kept/written; umount /kept || echo stays'
	[ ! -e "$SCRATCH/kept/written" ]
}

@test "volumes get the image's files; a host directory has his rights" {
	run u run --rm --network none -v v:/srv/data owned sh -c 'stat -c %u:%g /srv/data/file; touch /srv/data/more; chown 9:9 /srv/data/more'
	[ "${lines[0]}" = 1234:5678 ]
	[ "$(u run --rm --network none -v v:/v owned stat -c %u /v/more)" = 9 ]
	u volume rm v
	[ -z "$(u volume list -q)" ]
	mkdir -p "$SCRATCH/mine" "$SCRATCH/roots"
	chown $USER_ID "$SCRATCH/mine"
	echo secret >"$SCRATCH/roots/secret"
	chmod 600 "$SCRATCH/roots/secret"
	run u run --rm --network none -v "$SCRATCH/mine:/mine" -v "$SCRATCH/roots:/roots" owned \
		sh -c 'touch /mine/x; chown 1234 /mine/x; touch /roots/x; cat /roots/secret; chmod 777 /roots; cp /srv/ids /mine/ids; chmod 4755 /mine/ids'
	[ "$(grep -Ec 'denied|not permitted' <<<"$output")" = 3 ]
	[ "$(stat -c %u "$SCRATCH/mine/x")" = 701233 ]
	[ "$(stat -c %u:%a "$SCRATCH/mine/ids")" = $USER_ID:4755 ] # set-user-ID to himself
}

@test "passt: the host's name server, a published port, and its end with whoever is killed" {
	command -v pasta >/dev/null || skip "needs passt: make setup"
	[ -c /dev/net/tun ] || skip "there is no /dev/net/tun here"
	ip route get 192.0.2.77 >/dev/null 2>&1 || skip "this host has no way out"
	u run -d --name w -p 127.0.0.1:8096:80 owned sh -c 'echo hello >/srv/index.html; exec httpd -f -p 80 -h /srv'
	fetched() { [ "$(curl -s http://127.0.0.1:8096/)" = hello ]; }
	wait_until fetched
	[ "$(u exec w cat /etc/resolv.conf)" = "nameserver 10.0.2.3" ]
	u ps | grep -q '127.0.0.1:8096->80/tcp'
	run u run --rm -p 127.0.0.1:8096:80 owned true
	one_line_error 'port 8096'
	local monitor pid passt
	for who in monitor_pid pid; do
		monitor=$(state w monitor_pid) pid=$(state w pid)
		passt=$(pgrep -P "$monitor" -x 'pasta|passt.avx2|pasta.avx2')
		kill -9 "$(state w $who)"
		wait_until gone "$pid"
		wait_until gone "$passt"
		wait_until ended w # its monitor may be about to say so
		u start w
	done
	u rm -f w
	TUN=no run u run --rm owned true
	[ "$status" = 0 ] || one_line_error '/dev/net/tun is closed to you'
	[ "$(u run --rm --network host owned cat /proc/net/dev)" = "$(cat /proc/net/dev)" ] || true
	run u run --rm --network host -p 8095:80 owned true
	[ "$status" = 0 ] || one_line_error 'publish'
}

@test "kill -9 of the monitor, of the command, rm -f: nothing is left" {
	local pid monitor
	u run -d --name w --network none owned sh -c 'touch /x; chown 5:5 /x; sleep 1000 & exec sleep 1000'
	pid=$(state w pid) monitor=$(state w monitor_pid)
	kill -9 "$monitor"
	wait_until is_dead w
	wait_until gone "$pid"
	u start w
	u rm -f w
	wait_until none_of_his # who told of the end ends after it
	u run --name w --network none owned sleep 1000 &
	wait_until running w
	kill -9 $! # the shell that waits: the command goes on
	u rm -f w
}

@test "--system: busybox's init without a cgroup; systemd's says what it takes" {
	local tree=$SCRATCH/tree
	cp -a "$DEMO_ROOTFS" "$tree"
	printf '%s\n' "::once:/bin/sh -c 'echo ready; exec sleep 1000'" '::shutdown:/bin/echo ends' >"$tree/etc/inittab"
	tar -C "$tree" --owner 0 --group 0 -cf "$SCRATCH/busy.tar" .
	u image import "$SCRATCH/busy.tar" busy
	u run -d --system --network none --name w busy
	said() { u logs w | grep -q ready; }
	wait_until said
	[ "$(u exec w cat /proc/1/comm)" = init ]
	u stop w
	[ "$(state w exit_code)" = 0 ]
	mkdir -p "$tree/lib/systemd"
	rm "$tree/sbin/init"
	touch "$tree/lib/systemd/systemd" "$tree/lib/systemd/libsystemd-shared-252.so"
	chmod +x "$tree/lib/systemd/systemd"
	ln -s /lib/systemd/systemd "$tree/sbin/init"
	tar -C "$tree" --owner 0 --group 0 -cf "$SCRATCH/systemd.tar" .
	u image import "$SCRATCH/systemd.tar" systemd
	run u run --rm --system --network none systemd
	one_line_error 'needs a cgroup of version 2 that is yours'
	u rm -f w
	u image rm busy systemd >/dev/null
}

@test "what takes root is refused in one line, by the flag's name" {
	refused '--userns.* takes root: leave it out' --userns auto
	refused '--userns, --uidmap.* takes root: leave it out.* or use sudo' --uidmap 0:100000:10
	refused '--root-size takes root: .* leave it out, or use sudo' --root-size 1g
	run u run --rm --network bridge owned true
	one_line_error '--network bridge .*takes root: .* use --network passt, none or host, or sudo'
	run u run --rm -p 80:80 owned true
	[ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -le 80 ] || one_line_error '80/tcp is not for an ordinary user'
	for limit in '-m 64m' '--cpus 0.5' '--pids-limit 20' '--cpuset-cpus 0'; do
		# shellcheck disable=SC2086 # two words
		refused 'limit .*: no cgroup with the controller .* is yours|not available here' $limit
	done
	[ -z "$(u ps -a -q)" ]
}

@test "without a range of ids: his own, and images of root's files" {
	local home=$SCRATCH/single
	mkdir -p "$home/run"
	chown -R $USER_ID "$home"
	single() { SUBIDS=no USER_HOME=$home u "$@"; }
	single image import "$SCRATCH/plain.tar" plain
	[ "$(single run --rm --network none plain sh -c 'id -u; touch /x; chown 5 /x 2>/dev/null || echo no' | tr '\n' ' ')" = "0 no " ]
	single image import "$SCRATCH/owned.tar" owned
	run single run --rm --network none owned true
	one_line_error 'its owner is [0-9]+:[0-9]+, and you have no such id: .*uidmap'
	run single run --rm --network none --user 7 plain true
	one_line_error 'become (user|group) 7'
	[ -z "$(single ps -a -q)" ]
	single image rm owned plain >/dev/null
	[ -z "$(ls -A "$home/.local/share/strata/owned")" ]
}

# nowhere COMMAND...: that user in a user namespace in which there may be no other one
nowhere()
{
	local status tries
	for tries in 1 2 3 4 5; do # who gets the ids between unshare's steps has no capabilities: once more, then
		status=0
		nowhere_once "$@" || status=$?
		[ "$status" -eq 120 ] || break
	done
	return "$status"
}

nowhere_once()
{
	local pid
	mkfifo "$SCRATCH/go"
	unshare -U --keep-caps sh -c '
		read -r line <"$SCRATCH/go" && { echo 0 >/proc/sys/user/max_user_namespaces; } 2>/dev/null || exit 120
		exec setpriv --reuid "$0" --regid "$0" --clear-groups --inh-caps=-all --ambient-caps=-all \
			env -i PATH=/usr/bin:/bin HOME="$USER_HOME" XDG_RUNTIME_DIR="$USER_HOME/run" "$@"
	' $USER_ID "$@" &
	pid=$!
	wait_until sh -c "echo 0 0 65536 >/proc/$pid/uid_map"
	echo 0 0 65536 >"/proc/$pid/gid_map"
	echo go >"$SCRATCH/go"
	rm "$SCRATCH/go"
	wait "$pid"
}

@test "a host that gives no user namespaces says so, and what would; an image is a machine's there" {
	run nowhere "$STRATA_BIN" run --rm --virt os-level --network none owned true
	one_line_error "no more user namespaces: its administrator can, by 'sysctl user.max_user_namespaces"
	run nowhere "$STRATA_BIN" run --rm --network none owned true
	one_line_error 'strata image kernel fetch'
	run nowhere "$STRATA_BIN" info
	[[ $output =~ os-level\ +no ]]
}

@test "a delegated cgroup is used: freezer, figures, its removal; from anywhere" {
	local v2 group
	v2=$(awk '$3 == "cgroup2" && $2 !~ /:/ { print $2; exit }' /proc/mounts)
	[ -n "$v2" ] && mkdir "$v2/strata-test-$$" || skip "there is no cgroup v2 to write to"
	group=$v2/strata-test-$$
	mkdir "$group/app"
	chown $USER_ID "$group" "$group/cgroup.procs" "$group/cgroup.subtree_control" "$group/app" "$group/app/cgroup.procs"
	GROUP=$group/app u run -d --name w --network none owned sleep 1000
	[ "$(cat "/proc/$(state w pid)/cgroup" | sed -n 's/^0:://p')" = "/${group#"$v2"/}/strata-$(u inspect w | jq -r '.[0].id')" ]
	GROUP=$group/app u pause w
	grep -q 'frozen 1' "$group"/strata-*/cgroup.events
	u resume w
	GROUP=$group/app u exec w true
	u stats --no-stream -f json | jq -e '.[0].name == "w" and .[0].pids == 1'
	u run --rm --network none owned true # from where none is his
	u rm -f w
	[ -z "$(find "$group" -mindepth 1 -name 'strata-*')" ]
	wait_until rmdir "$group/app" # its monitor was in there
	rmdir "$group"
}

@test "another ordinary user sees and touches nothing" {
	u run -d --name w --network none owned sleep 1000
	local pid
	pid=$(state w pid)
	AS=54322 run as_user sh -c "ls $USER_HOME/.local/share/strata $USER_HOME/run/strata; cat /proc/$pid/environ; ls /proc/$pid/root/; nsenter -t $pid -U -m true; kill $pid"
	[ "$(grep -Ec 'denied|not permitted' <<<"$output")" -ge 5 ]
	[ "$(state w status)" = running ]
	AS=54322 run as_user "$STRATA_BIN" --root "$USER_HOME/.local/share/strata" --run-root "$USER_HOME/run/strata" rm -f w
	[ "$status" -ne 0 ]
	u rm -f w
	# A program that is set-user-ID to him may lie there, wherever --root is.
	u volume create closed >/dev/null
	chmod 711 "$USER_HOME/.local/share/strata/volumes" # as it once was
	u volume create closed2 >/dev/null
	[ "$(stat -c %a "$USER_HOME/.local/share/strata/volumes")" = 700 ]
	u volume rm closed closed2 >/dev/null
}

@test "a link in /tmp in the place of the run directory is not followed" {
	local link=/tmp/strata-$USER_ID
	as_user mkdir "$USER_HOME/elsewhere"
	as_user ln -s "$USER_HOME/elsewhere" "$link"
	run as_user env -u XDG_RUNTIME_DIR "$STRATA_BIN" ps
	as_user rm "$link"
	[ "$status" -ne 0 ]
	[[ $output == *"$link"* ]]
	[ -z "$(ls -A "$USER_HOME/elsewhere")" ]
}

@test "an image's unpacked files go with it" {
	u image import "$SCRATCH/plain.tar" third
	u image rm owned plain third >/dev/null
	[ -z "$(ls -A "$USER_HOME/.local/share/strata/owned")" ]
	[ -z "$(ls -A "$USER_HOME/.local/share/strata/layers")" ]
}
