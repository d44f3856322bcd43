#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Networks as a user sees them: bridge, host, none, published ports, names, internal ones. This file has
# a network namespace of its own (tools/test-bats); "outside" is another one, on a wire to it.
load helper


setup_file() {
	strata_setup_file
	local tool
	for tool in nft ip curl ss; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
	export OUTSIDE=so$$
	# The first `ip netns` on a machine binds this directory onto itself, for good: ours to undo then.
	export NETNS_MOUNTED
	NETNS_MOUNTED=$(mountpoint -q /run/netns && echo yes || echo no)
	ip netns add "$OUTSIDE"
	ip link add wire0 type veth peer name wire1 netns "$OUTSIDE"
	ip addr add 192.0.2.1/24 dev wire0
	ip link set wire0 up
	ip -n "$OUTSIDE" addr add 192.0.2.2/24 dev wire1
	ip -n "$OUTSIDE" link set wire1 up
	ip -n "$OUTSIDE" link set lo up
}

teardown_file() {
	ip link del wire0 2>/dev/null || true
	ip netns del "$OUTSIDE" 2>/dev/null || true
	[ "$NETNS_MOUNTED" = yes ] || umount /run/netns 2>/dev/null || true
	strata_teardown_file
}

teardown() {
	local ids
	ids=$(strata ps -aq)
	# shellcheck disable=SC2086 # a word an id
	[ -z "$ids" ] || strata rm -f $ids >/dev/null
}

# web NAME WORD FLAG...: an instance that answers WORD on port 80
web() {
	local name=$1 word=$2
	shift 2
	strata run -d --name "$name" "$@" demo sh -c \
		"mkdir -p /w && echo $word >/w/index.html && exec httpd -f -p 80 -h /w" >/dev/null
}

get() {
	timeout 200 curl -s -f -m 50 "$1"
}

outside() {
	timeout 200 ip netns exec "$OUTSIDE" "$@"
}

# asks INSTANCE HOST [PORT]: PATIENCE seconds long, by nc, as the wget of a static busybox may crash where it resolves a name
asks() {
	timeout 100 strata exec "$1" sh -c \
		'printf "GET / HTTP/1.0\r\n\r\n" | nc -w "$3" "$1" "$2" | tail -n 1 | grep .' sh "$2" "${3:-80}" "${PATIENCE:-30}"
}

address() {
	strata exec "$1" ip -4 -o addr show dev eth0 | awk '{ sub("/.*", "", $4); print $4 }'
}

@test "a published port answers from outside, from 127.0.0.1 and from another instance" {
	web a hello -p 8080:80
	wait_until get http://127.0.0.1:8080/
	[ "$(get http://127.0.0.1:8080/)" = hello ]
	[ "$(get http://192.0.2.1:8080/)" = hello ]
	[ "$(outside curl -s -f -m 50 http://192.0.2.1:8080/)" = hello ]
	strata run -d --name b demo sleep 1000 >/dev/null
	[ "$(asks b 192.0.2.1 8080)" = hello ]
	[ "$(asks b "$(address a)")" = hello ]
	[[ $(strata ps) == *8080* ]]
	strata stop -t 0 a
	run get http://127.0.0.1:8080/
	[ "$status" -ne 0 ]
}

@test "a port on 127.0.0.1 is not seen outside" {
	web a secret -p 127.0.0.1:8081:80
	wait_until get http://127.0.0.1:8081/
	run outside curl -s -f -m 2 http://192.0.2.1:8081/
	[ "$status" -ne 0 ]
}

@test "udp is published, too" {
	strata run -d --name a -p 5353:53/udp demo sleep 1000 >/dev/null
	# The demo image has no program for it: ours, in the instance's network namespace.
	timeout 200 nsenter -t "$(strata inspect a | jq '.[0].state.pid')" -n python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
while True:
    data, whence = s.recvfrom(100)
    s.sendto(data, whence)' 3>&- &
	local pid=$!
	timeout 100 ip netns exec "$OUTSIDE" python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.2)
for attempt in range(400):
    s.sendto(b"ping", ("192.0.2.1", 5353))
    try:
        assert s.recv(10) == b"ping"
        break
    except OSError:
        pass
else:
    raise SystemExit("no answer")'
	kill "$pid"
}

@test "a port that was left to us to choose is shown, as long as it is there" {
	web a chosen -p 80 -p 127.0.0.1::81/udp
	local port
	port=$(strata inspect a | jq '.[0].ports[] | select(.guest == 80).host')
	[ "$port" -gt 1023 ]
	wait_until get "http://127.0.0.1:$port/"
	[[ $(strata ps) == *"0.0.0.0:$port->80/tcp, 127.0.0.1:"*"->81/udp"* ]]
	[ "$(strata ps -f json | jq '.[0].ports | map(select(.host > 1023)) | length')" -eq 2 ]
	strata stop -t 0 a
	[[ $(strata ps -a) == *Exited* && $(strata ps -a) != *"->80"* ]]
}

@test "a port that is taken is refused, and nothing is left" {
	web a one -p 8082:80
	run strata run -d --name b -p 8082:80 demo sleep 1000
	[ "$status" -eq 125 ]
	one_line_error "8082"
	[ "$(strata ps -q | wc -l)" -eq 1 ]
	wait_until get http://127.0.0.1:8082/
	python3 - <<-'END' 3>&- &
		import socket, time
		s = socket.socket(); s.bind(("0.0.0.0", 8083)); s.listen(); time.sleep(100)
	END
	local pid=$!
	wait_until sh -c 'ss -ltn | grep -q :8083'
	run strata run -d --name c -p 8083:80 demo sleep 1000
	kill "$pid"
	[ "$status" -eq 125 ]
	one_line_error "8083"
}

@test "names resolve both ways, and the new one after a rename" {
	strata network create apps >/dev/null
	web one first --network apps
	web two second --network apps --network-alias second
	wait_until asks one two
	[ "$(asks one two)" = second ]
	[ "$(asks one second)" = second ]
	[ "$(asks two one)" = first ]
	strata rename two three
	[ "$(asks one three)" = second ]
	PATIENCE=3 run asks one two
	[ "$status" -ne 0 ]
	strata rm -f one three
	strata network rm apps
}

@test "networks are apart from each other" {
	strata network create left >/dev/null
	strata network create right >/dev/null
	web a hidden --network left
	strata run -d --name b --network right demo sleep 1000 >/dev/null
	wait_until asks a 127.0.0.1
	PATIENCE=3 run asks b "$(address a)"
	[ "$status" -ne 0 ]
	PATIENCE=3 run asks b a
	[ "$status" -ne 0 ]
	run strata network rm left
	[ "$status" -eq 125 ]
	[ "${#lines[@]}" -eq 1 ]
	strata rm -f a b
	strata network rm left right
}

@test "an internal network has no way out, but a way between" {
	strata network create --internal in >/dev/null
	web a inner --network in
	strata run -d --name b --network in demo sleep 1000 >/dev/null
	wait_until asks b a
	[ "$(asks b a)" = inner ]
	run strata exec b ip route
	[[ $output != *default* ]]
	run timeout 10 strata exec b ping -c 1 -W 1 192.0.2.2
	[ "$status" -ne 0 ]
	strata rm -f a b
	strata network rm in
}

@test "the way out is there, with the host's address" {
	run timeout 100 strata run --rm demo ping -c 1 -W 50 192.0.2.2
	[ "$status" -eq 0 ] || [[ $output == *"denied"* ]]
}

@test "none has a loopback only; host has the host's" {
	[ "$(strata run --rm --network none demo sh -c 'ip -o link | wc -l')" -eq 1 ]
	strata run --rm --network none demo ping -c 1 -W 50 127.0.0.1
	[ "$(strata run --rm --network host demo readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ]
	[ "$(strata run --rm --network host demo hostname)" = "$(hostname)" ]
}

@test "--ip, --subnet, and what cannot be" {
	strata network create --subnet 10.77.0.0/24 fixed >/dev/null
	strata run -d --name a --network fixed --ip 10.77.0.9 demo sleep 1000 >/dev/null
	[ "$(address a)" = 10.77.0.9 ]
	run strata run -d --name b --network fixed --ip 10.77.0.9 demo sleep 1000
	[ "$status" -eq 125 ]
	one_line_error "10.77.0.9"
	run strata run -d --name c --network fixed --ip 10.78.0.9 demo sleep 1000
	[ "$status" -eq 125 ]
	one_line_error "10.78.0.9"
	run strata network create --subnet 10.77.0.0/16 clash
	[ "$status" -eq 125 ]
	[ "${#lines[@]}" -eq 1 ]
	run strata network create --subnet nonsense clash
	[ "$status" -eq 125 ]
	one_line_error "nonsense"
	run strata network create fixed
	one_line_error "fixed"
	[ "$(strata ps -aq | wc -l)" -eq 1 ]
	strata rm -f a
	strata network rm fixed
}

@test "ports with --network none are refused or said to be useless" {
	run strata run --rm --network none -p 80:80 demo true
	[ "$status" -eq 125 ]
	[ "${#lines[@]}" -eq 1 ]
}
