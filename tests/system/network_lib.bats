#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# src/network/ in network namespaces of its own: "h" is the host, "o" a machine outside on its wire,
# "a" to "c" are instances. Nothing of the real host's network is touched.
WAIT_SECONDS=100
# shellcheck source=tests/wait_until.bash
source "$BATS_TEST_DIRNAME/../wait_until.bash"

WAIT_SECONDS=100
# shellcheck source=tests/wait_until.bash
source "${BATS_TEST_DIRNAME:-.}/../wait_until.bash"

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	for tool in ip nft busybox; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
	BUILD=${BUILD:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}
	DRIVER=$BUILD/tests/network_driver
	[ -x "$DRIVER" ] || skip "needs $DRIVER"
	DIR=$(mktemp -d /tmp/network-bats.XXXXXX)
	T=nt$$
	PIDS=
	for n in h o a b c; do ip netns add $T$n; done
	ip -n ${T}h link set lo up
	ip -n ${T}o link set lo up
	ip -n ${T}h link add ext type veth peer name ext netns ${T}o
	ip -n ${T}h addr add 192.0.2.1/24 dev ext
	ip -n ${T}o addr add 192.0.2.9/24 dev ext
	ip -n ${T}h link set ext up
	ip -n ${T}o link set ext up
	A=aaaaaaaaaaaaaaaa B=bbbbbbbbbbbbbbbb C=cccccccccccccccc
	mkdir -p -m 700 "$DIR/run"
	for i in $A $B $C; do mkdir -p "$DIR/run/instances/$i"; : >"$DIR/run/instances/$i/hosts"; done
}

teardown() {
	for p in $PIDS; do kill "$p" 2>/dev/null || true; done
	for n in h o a b c; do ip netns del "$T$n" 2>/dev/null || true; done
	[ -z "$DIR" ] || rm -rf "$DIR"
}

on() { ip netns exec "$T$1" "${@:2}"; }
net() { on h "$DRIVER" "$DIR" "$@"; }
# up NETWORK ID NAME NS [PORT]...
up() { net up "$1" "$2" "$3" "$T$4" "${@:5}"; }
# second ...: net of another store
second() { on h "$DRIVER" "$DIR/second" "$@"; }
# bridge_of NETWORK: its bridge
bridge_of() { net list | awk -v "name=$1" '$1 == name { print $2 }'; }
# no COMMAND...: it must fail ("!" alone does not end a test)
no() { if PATIENCE=2 "$@"; then return 1; fi; }

# web NS PORT: a web server there that says its namespace's name
web() {
	mkdir -p "$DIR/www$1"
	echo "this is $1" >"$DIR/www$1/index.html"
	ip netns exec "$T$1" busybox httpd -f -p "$2" -h "$DIR/www$1" 3>&- &
	PIDS="$PIDS $!"
	wait_until get "$1" "127.0.0.1:$2"
}

get() {
	on "$1" timeout "${PATIENCE:-30}" bash -c '
		exec 5<>"/dev/tcp/${1%:*}/${1#*:}" && printf "GET / HTTP/1.0\r\n\r\n" >&5 &&
			tail -n 1 <&5 | grep "this is"' get "$2" 2>/dev/null
}
udp() { on "$1" "$DRIVER" "$DIR/$1" ask-udp "$2" "$3" 5555 2>/dev/null; }
state() {
	on h nft list ruleset
	on h ip -o link | sed 's/^[0-9]*: //; s/@.*//'
}

@test "a published port is reached from outside, from 127.0.0.1, and by every address of the host" {
	up bridge $A one a :8080:80
	web a 80
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
	[ "$(get h 127.0.0.1:8080)" = "this is a" ]
	[ "$(get h 192.0.2.1:8080)" = "this is a" ]
	[ "$(get h 10.201.0.1:8080)" = "this is a" ]
	[ "$(get h 10.201.0.2:80)" = "this is a" ]
}

@test "a published port is reached by another instance and by its own" {
	up bridge $A one a :8080:80
	up bridge $B two b
	web a 80
	[ "$(get b 192.0.2.1:8080)" = "this is a" ]
	[ "$(get b 10.201.0.1:8080)" = "this is a" ]
	[ "$(get a 192.0.2.1:8080)" = "this is a" ]
	[ "$(get b 10.201.0.2:80)" = "this is a" ]
}

@test "UDP too, also for a flow that began before the port was published, and after a restart" {
	up bridge $B two b :8081:80
	no udp o 192.0.2.1 9000
	up bridge $A one a :9000:53/udp
	ip netns exec ${T}a "$DRIVER" "$DIR/a" echo-udp 53 3>&- &
	PIDS="$PIDS $!"
	wait_until udp h 10.201.0.3 53
	[ "$(udp o 192.0.2.1 9000)" = hi ]
	[ "$(udp h 127.0.0.1 9000)" = hi ]
	net down $A
	up bridge $C three c :9000:53/udp
	ip netns exec ${T}c "$DRIVER" "$DIR/c" echo-udp 53 3>&- &
	PIDS="$PIDS $!"
	wait_until udp h 10.201.0.3 53
	[ "$(udp o 192.0.2.1 9000)" = hi ]
}

@test "a port published on 127.0.0.1 stays on the host, and 127.0.0.0/8 is shut from the bridge" {
	up bridge $A one a 127.0.0.1:8080:80
	up bridge $B two b
	web a 80
	web h 7000
	[ "$(get h 127.0.0.1:8080)" = "this is a" ]
	no get o 192.0.2.1:8080
	# The instance's root sends what is for 127.0.0.1 to the host (CVE-2020-8558).
	on b sysctl -q -w net.ipv4.conf.eth0.route_localnet=1 net.ipv4.conf.all.route_localnet=1
	on b ip rule add to 127.0.0.0/8 lookup 5 pref 5
	on b ip rule add lookup local pref 10
	on b ip rule del lookup local pref 0
	on b ip route add 127.0.0.0/8 via 10.201.0.1 dev eth0 src 10.201.0.3 table 5
	no get b 127.0.0.1:7000
}

@test "a neighbour on the wire does not reach a port published on 127.0.0.1 by sending there" {
	up bridge $A one a 127.0.0.1:9000:53/udp
	ip netns exec ${T}a "$DRIVER" "$DIR/a" echo-udp 53 3>&- &
	PIDS="$PIDS $!"
	wait_until udp h 127.0.0.1 9000
	on o sysctl -q -w net.ipv4.conf.ext.route_localnet=1 net.ipv4.conf.all.route_localnet=1
	on o ip rule add to 127.0.0.0/8 lookup 5 pref 5
	on o ip rule add lookup local pref 10
	on o ip rule del lookup local pref 0
	on o ip route add 127.0.0.0/8 via 192.0.2.1 dev ext src 192.0.2.9 table 5
	no udp o 127.0.0.1 9000
}

@test "unpublished ports are not reached from outside" {
	up bridge $A one a :8080:80
	web a 80
	web a 81
	ip -n ${T}o route add 10.201.0.0/24 via 192.0.2.1
	no get o 10.201.0.2:81
	no get o 10.201.0.2:80
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
}

@test "an instance reaches outside under the host's address" {
	up bridge $A one a
	web o 80
	[ "$(get a 192.0.2.9:80)" = "this is o" ]
}

@test "two networks do not reach each other, but for published ports" {
	net create blue
	net create red 10.77.0.0/24
	up blue $A one a :8080:80
	up red $B two b
	web a 80
	no get b 10.201.0.2:80
	[ "$(get b 192.0.2.1:8080)" = "this is a" ]
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
}

@test "an internal network has no way out, but its instances reach each other" {
	net create inside - internal
	up inside $A one a
	up inside $B two b
	web a 80
	web o 80
	[ "$(get b 10.201.0.2:80)" = "this is a" ]
	no get a 192.0.2.9:80
	[ -z "$(ip -n ${T}a route show default)" ]
	run up inside $C three c :80:80
	[ "$status" = 1 ]
	[[ "$output" == *"internal"* ]]
}

@test "beside Docker's rules: FORWARD drops, DOCKER-USER lets us pass, and is as before after" {
	on h nft 'table ip filter {
		chain DOCKER-USER { return; }
		chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }
	}'
	before=$(state)
	up bridge $A one a :8080:80
	web a 80
	web o 80
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
	[ "$(get a 192.0.2.9:80)" = "this is o" ]
	BRIDGE=$(bridge_of bridge)
	on h nft list chain ip filter DOCKER-USER | grep -q "iifname \"$BRIDGE\" .*accept.*strata:$BRIDGE"
	net down $A
	[ "$(state)" = "$before" ]
}

@test "beside an iptables FORWARD with policy drop and no Docker" {
	on h nft 'table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }'
	before=$(state)
	up bridge $A one a :8080:80
	web a 80
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
	net down $A
	[ "$(state)" = "$before" ]
}

@test "other tables are not touched, and another start does not forget them" {
	on h nft 'table inet mine { set s { type ipv4_addr; elements = { 10.1.1.1 }; }
		chain input { type filter hook input priority 0; policy accept; tcp dport 22 accept; }
	}'
	mine=$(on h nft list table inet mine)
	up bridge $A one a :8080:80
	up bridge $B two b
	[ "$(on h nft list table inet mine)" = "$mine" ]
	net down $A
	net down $B
	[ "$(on h nft list table inet mine)" = "$mine" ]
}

@test "release leaves rules and links exactly as before; twice is no error" {
	before=$(state)
	up bridge $A one a :8080:80
	net create blue
	up blue $B two b :8081:80 :0:81/udp
	net down $A
	on h nft list ruleset | grep -q 'tcp . 8081 :'
	no grep -q 'tcp . 8080 :' <(on h nft list ruleset) # a table's comment is a digest, in which any four digits may be
	net down $B
	net down $B
	net down ffffffffffff
	[ "$(state)" = "$before" ]
}

@test "rules that somebody flushed come back with the next start" {
	up bridge $A one a :8080:80
	on h nft flush ruleset
	up bridge $B two b
	web a 80
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
}

@test "a port in use: another instance is named, another program is found" {
	up bridge $A one a :8080:80
	run up bridge $B two b :8080:80
	[ "$status" = 1 ]
	[[ "$output" == *"port 8080/tcp is taken by instance one"* ]]
	web h 7000
	run up bridge $B two b :7000:80
	[ "$status" = 1 ]
	[[ "$output" == *"port 7000/tcp is taken by another program"* ]]
	run up bridge $B two b 203.0.113.7:7001:80
	[[ "$output" == *"does not have that address"* ]]
	up bridge $B two b 127.0.0.1:7001:80
}

@test "ten starts at once get ten addresses, and the rules hold every port" {
	for i in 0 1 2 3 4 5 6 7 8 9; do
		ip netns exec ${T}h "$DRIVER" "$DIR" plan bridge "${i}000000000000000" "i$i" - ":$((9000 + i)):80" >"$DIR/out$i" 3>&- &
	done
	wait
	[ "$(cat "$DIR"/out* | cut -d' ' -f1 | sort -u | wc -l)" = 10 ]
	up bridge $A one a :8080:80
	for i in 0 1 2 3 4 5 6 7 8 9; do on h nft list ruleset | grep -q "tcp . $((9000 + i)) :"; done
}

@test "names resolve both ways, in place, and go with their instance" {
	inode=$(stat -c %i "$DIR/run/instances/$A/hosts")
	up bridge $A one a
	up bridge $B two b
	grep -qP '^10\.201\.0\.3\ttwo bbbbbbbbbbbb$' "$DIR/run/instances/$A/hosts"
	grep -qP '^10\.201\.0\.2\tone aaaaaaaaaaaa$' "$DIR/run/instances/$B/hosts"
	[ "$(stat -c %i "$DIR/run/instances/$A/hosts")" = "$inode" ]
	net down $B
	no grep -q two "$DIR/run/instances/$A/hosts"
	grep -q one "$DIR/run/instances/$A/hosts"
}

@test "two state directories on one host do not take each other's bridge or rules" {
	up bridge $A one a :8080:80
	second up bridge $B two ${T}b :8081:80
	web a 80
	web b 80
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
	[ "$(get o 192.0.2.1:8081)" = "this is b" ]
	second down $B
	[ "$(get o 192.0.2.1:8080)" = "this is a" ]
	net down $A
	[ -z "$(on h nft list ruleset)" ]
}

@test "a subnet that the host came to use is left for another" {
	up bridge $A one a
	net down $A
	ip -n ${T}h link add dum type veth peer name dum2
	ip -n ${T}h addr add 10.201.0.77/24 dev dum
	ip -n ${T}h link set dum up
	[ "$(up bridge $A one a)" = 10.201.1.2 ]
}

# --- two stores on one host ---

@test "rules that a killed store left do not meet another store's bridge" {
	net create apps 10.76.0.0/24
	up apps $A one a
	ip -n ${T}h link del "$(bridge_of apps)"
	second create apps 10.77.0.0/24
	second up apps $B two ${T}b
	web o 80
	[ "$(get b 192.0.2.9:80)" = "this is o" ]
	# the same subnet, too
	second down $B
	second create same 10.76.0.0/24
	second up same $B two ${T}b
	[ "$(get b 192.0.2.9:80)" = "this is o" ]
}

@test "a bridge that was named without its store in mind gets another name when it comes up anew" {
	up bridge $A one a
	BRIDGE=$(bridge_of bridge)
	net down $A
	sqlite3 "$DIR/root/strata.db" "UPDATE network SET bridge = 'strata7'"
	up bridge $A one a
	[ "$(net list | awk '{ print $2 }')" = "$BRIDGE" ]
	ip -n ${T}h link show "$BRIDGE"
}

planned() { [ "$(sqlite3 "$1/root/strata.db" 'SELECT count(*) FROM endpoint')" = 1 ]; }
# done_or_waits PID: it has ended, or waits for a lock
done_or_waits() { ! kill -0 "$1" 2>/dev/null || grep -Eq -- "-> .* $1 " /proc/locks; }

@test "two stores that choose at once have subnets of their own" {
	exec 7>"$DIR/run/network.lock"
	flock 7
	up bridge $A one a >"$DIR/first.out" 3>&- 7>&- &
	local first=$!
	wait_until planned "$DIR"
	ip netns exec ${T}h "$DRIVER" "$DIR/second" up bridge $B two ${T}b >"$DIR/second.out" 3>&- 7>&- &
	local other=$!
	wait_until done_or_waits "$other"
	exec 7>&-
	wait "$first"
	wait "$other"
	[ "$(sort "$DIR/first.out" "$DIR/second.out")" = $'10.201.0.2\n10.201.1.2' ]
	web o 80
	[ "$(get a 192.0.2.9:80)" = "this is o" ]
	[ "$(get b 192.0.2.9:80)" = "this is o" ]
}

@test "a forged source address does not leave the bridge" {
	up bridge $A one a
	BRIDGE=$(bridge_of bridge)
	ip -n ${T}a addr add 172.31.9.9/32 dev eth0
	ip -n ${T}h route add 172.31.9.9/32 dev $BRIDGE
	no on a ping -c1 -W1 -I 172.31.9.9 192.0.2.1
}

@test "an interface of another program with our bridge's name is left alone" {
	BRIDGE=$(bridge_of bridge)
	ip -n ${T}h link add $BRIDGE type veth peer name other
	up bridge $A one a
	ip -n ${T}h -d link show $BRIDGE | grep -q veth
	net down $A
	ip -n ${T}h -d link show $BRIDGE | grep -q veth
}

@test "killed at any moment, a start or a release is put right by the next release" {
	before=$(state)
	for ms in 1 2 3 4 6 8 10 13 16 20 25 30 40; do
		timeout -s KILL "0.0$(printf %02d $ms)" ip netns exec ${T}h "$DRIVER" "$DIR" \
			up bridge $A one ${T}a :8080:80 >/dev/null 2>&1 || true
		timeout -s KILL "0.0$(printf %02d $ms)" ip netns exec ${T}h "$DRIVER" "$DIR" \
			down $A >/dev/null 2>&1 || true
		net down $A
		[ "$(state)" = "$before" ]
	done
	[ "$(up bridge $A one a :8080:80)" = "10.201.0.2 8080" ]
}

@test "without nft: one clear line, and nothing is left" {
	mkdir "$DIR/empty"
	run on h unshare -m sh -c 'mount --bind "$1/empty" /usr/sbin && exec "$2" "$1" up bridge "$3" one "$4"' \
		- "$DIR" "$DRIVER" $A ${T}a
	[ "$status" = 1 ]
	[[ "$output" == *"apt-get install nftables"* ]]
	before=$(on h nft list ruleset)
	net down $A
	[ -z "$before" ]
	[ -z "$(ip -n ${T}h link show type bridge)" ]
}
