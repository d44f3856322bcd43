#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata import-openvz: a configuration and a template become an instance.
load helper

@test "configuration and template become a system container" {
	mkdir "$SCRATCH/vz"
	mkdir "$SCRATCH/vz/shared"
	echo seen >"$SCRATCH/vz/shared/file"
	cat >"$SCRATCH/vz/101.conf" <<END
ONBOOT="no"
PHYSPAGES="0:16384"
CPUUNITS="2000"
CPULIMIT="50"
NUMPROC="99:99"
HOSTNAME="web.example.org"
NAMESERVER="192.0.2.1"
SEARCHDOMAIN="example.org"
IP_ADDRESS="10.77.0.9"
DISKSPACE="1:2"
RATE="eth0:1:2048"
RATEBOUND="yes"
IOLIMIT="10M"
NETIF="ifname=eth0,mac=00:18:51:AA:BB:CC,bridge=br0"
BINDMOUNT="$SCRATCH/vz/shared:/srv/shared /nowhere/at/all:/x"
FEATURES="bridge:on nfs:on"
STOP_TIMEOUT="5"
VE_ROOT="/vz/root/\$VEID"
END
	printf 'mount --bind /srv/a $VE_ROOT/srv/a\ntouch /tmp/strata-openvz-was-executed\n' >"$SCRATCH/vz/101.mount"
	chmod +x "$SCRATCH/vz/101.mount"
	tar -C "$DEMO_ROOTFS" -czf "$SCRATCH/vz/t.tar.gz" .
	strata network create --subnet 10.77.0.0/24 lan
	run strata import-openvz --network lan "$SCRATCH/vz/101.conf" "$SCRATCH/vz/t.tar.gz"
	[ "$status" -eq 0 ]
	[[ $output == *"taken over"*"NUMPROC=99:99: --pids-limit 99"* ]]
	[[ $output == *"not taken over DISKSPACE"* ]]
	[[ $output == *'not taken over VE_ROOT=/vz/root/$VEID'* ]]
	[[ $output == *"not taken over $SCRATCH/vz/101.mount"*"what it binds is --volume /srv/a:/srv/a"* ]]
	[[ $output == *"FEATURES=bridge:on nfs:on: "*"; not nfs:on"* && $output == *"; not /nowhere/at/all:/x"* ]]
	[ ! -e /tmp/strata-openvz-was-executed ]
	strata inspect ct101 | jq -e '.[0].limits | .memory_bytes == 67108864 and .pids == 99 and .cpu_shares == 2048 and .cpu_quota_us == 50000 and .egress_bits == 2048000'
	strata inspect ct101 | jq -e '.[0].stop_timeout_ms == 5000'
	strata start ct101
	[ "$(strata exec ct101 cat /etc/hostname)" = web.example.org ]
	[ "$(strata exec ct101 cat /etc/resolv.conf)" = $'search example.org\nnameserver 192.0.2.1' ]
	strata exec ct101 ip addr show | grep -q 10.77.0.9
	[ "$(strata exec ct101 cat /srv/shared/file)" = seen ]
	# A disk under the root is one that can be held back, or IOLIMIT is among what was left.
	strata inspect ct101 | jq -e '.[0].limits.io[0].read_bps == 10485760' || [[ $(strata import-openvz --dry-run "$SCRATCH/vz/101.conf") == *"not taken over IOLIMIT"* ]]
	strata rm -f ct101
	strata network rm lan
}

@test "a dry run makes nothing; what is no configuration is one line" {
	printf 'NAME=x\n' >"$SCRATCH/7.conf"
	strata import-openvz --dry-run "$SCRATCH/7.conf" | grep -q 'NAME=x: --name x'
	[ -z "$(strata ps -aq)" ]
	run strata import-openvz "$SCRATCH/7.conf"
	one_line_error 'OSTEMPLATE'
	printf 'A=1\ntouch /tmp/strata-openvz-was-executed\n' >"$SCRATCH/8.conf"
	run strata import-openvz "$SCRATCH/8.conf"
	one_line_error '8.conf: line 2: not an assignment'
	printf 'A="$(touch /tmp/strata-openvz-was-executed)"\n' >"$SCRATCH/9.conf"
	run strata import-openvz "$SCRATCH/9.conf"
	one_line_error '9.conf: line 1: a command'
	[ ! -e /tmp/strata-openvz-was-executed ]
	head -c 70000 /dev/zero | tr '\0' '#' >"$SCRATCH/10.conf"
	run strata import-openvz "$SCRATCH/10.conf"
	one_line_error 'File too large|more than'
	run strata import-openvz "$SCRATCH/none.conf"
	one_line_error 'No such file'
	run strata import-openvz "$SCRATCH"
	one_line_error 'CTID.conf'
}

# Names and ids, without their age.
images() { strata image ls | awk '{ print $1, $2, $3 }'; }

@test "an import that fails leaves no image behind, and none of another's loses its name" {
	mkdir "$SCRATCH/failing"
	printf 'NAME=taken\n' >"$SCRATCH/failing/11.conf"
	strata create --name taken demo true >/dev/null
	before=$(images)
	run strata import-openvz "$SCRATCH/failing/11.conf" "$DEMO_ROOTFS"
	one_line_error 'taken'
	[ "$(images)" = "$before" ]
	# The name is that of an image already: of the same tree, and of another.
	mkdir "$SCRATCH/failing/other"
	echo other >"$SCRATCH/failing/other/file"
	for tree in "$DEMO_ROOTFS" "$SCRATCH/failing/other"; do
		strata image import "$tree" openvz-taken
		before=$(images)
		run strata import-openvz "$SCRATCH/failing/11.conf" "$DEMO_ROOTFS"
		one_line_error 'taken'
		[ "$(images)" = "$before" ]
		strata image rm openvz-taken
	done
	strata rm taken
}
