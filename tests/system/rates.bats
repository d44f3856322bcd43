#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --ingress-rate and --egress-rate: what goes through in a second at one rate, beside what goes through at another.
bats_require_minimum_version 1.5.0
load helper

teardown()
{
	strata ps -aq | xargs -r strata rm -f >/dev/null
}

address()
{
	strata inspect "$1" | jq -r '.[0].network.address'
}

# a_second FIELD NAME COMMAND...: bytes a second that its eth0 has received (1) or sent (9), while the command runs. It is looked at
# inside, twice within the flow, by the time between the looks: a machine that is busy makes the looks late, and not the figure another.
a_second()
{
	local flow
	"${@:3}" <&0 >/dev/null 2>&1 3>&- &
	flow=$!
	# shellcheck disable=SC2016 # the inner shell's
	strata exec "$2" sh -c '
		# Again where it was held up in between, so that time and count do not go together.
		look() {
			awk -v f="$1" "NF == 2 { was = now; now = \$1 } /eth0:/ { sub(/.*:/, \"\"); n = \$f }
				END { print now, n; exit now - was > 0.05 }" /proc/uptime /proc/net/dev /proc/uptime
		}
		look_well() { until said=$(look "$1"); do :; done; echo "$said"; }
		idle=$(look_well "$1")
		idle=${idle#* }
		for i in $(seq 1000); do
			first=$(look_well "$1")
			[ $((${first#* } - idle)) -lt 400000 ] || break
			sleep 0.01
		done
		sleep 1
		echo "$first $(look_well "$1")"' sh "$1" | awk '{ printf "%d\n", ($4 - $2) / ($3 - $1) }'
	kill "$flow"
	wait "$flow" 2>/dev/null || true
}

# what comes to NAME, and from it
sent() { a_second 1 "$1" busybox nc "$(address "$1")" 5000 </dev/zero; }
given() { a_second 9 "$1" busybox nc "$(address "$1")" 5001 </dev/null; }

# between LOW HIGH A B: B / A is, in hundredths
between()
{
	local ratio=$((100 * $4 / $3))
	[ "$ratio" -ge "$1" ] && [ "$ratio" -le "$2" ] || { echo "$4 / $3 is $ratio / 100, not $1 to $2"; return 1; }
}

serve() # FLAG...
{
	strata run -d "$@" demo sh -c "nc -ll -p 5000 -e sh -c 'exec cat >/dev/null' & nc -ll -p 5001 -e cat /dev/zero"
}

listens() # NAME
{
	strata exec "$1" sh -c 'netstat -ltn | grep -q :5000 && netstat -ltn | grep -q :5001'
}

@test "what it is sent and what it sends are held back, each by its own rate, and changed while it runs" {
	local slow fast free
	serve --name one --ingress-rate 4m --egress-rate 4mbit
	wait_until listens one
	strata inspect one | jq -e '.[0].limits | .ingress_bits == 4000000 and .egress_bits == 4000000'
	slow=$(sent one)
	strata update --ingress-rate 24m one
	fast=$(sent one)
	between 250 1000 "$slow" "$fast"
	slow=$(given one)
	strata update --egress-rate 24m one
	fast=$(given one)
	between 250 1000 "$slow" "$fast"
	run -0 strata stats --no-stream one
	[[ $output == *"(24Mbit/s)"*"(24Mbit/s)"* ]]
	strata stats --format json --no-stream one | jq -e '.[0] | .net_rx_limit_bits == 24000000 and .net_tx_limit_bits == 24000000'
	strata update --ingress-rate 0 --egress-rate 0 one
	strata inspect one | jq -e '.[0].limits | .ingress_bits == null and .egress_bits == null'
	free=$(sent one)
	between 300 100000000 "$fast" "$free"
	free=$(given one)
	between 300 100000000 "$fast" "$free"
	strata rm -f one
	[ -z "$(ip -o link show type ifb)" ]
}

@test "rates are kept by a restart, and nothing of them by the end" {
	serve --name again --restart always
	strata update --ingress-rate 2m --egress-rate 3m again
	kill -9 "$(strata inspect again | jq '.[0].state.pid')"
	wait_until sh -c 'strata inspect again | jq -e ".[0].state.restarts >= 1 and .[0].state.status == \"running\""'
	local link
	link=$(ip -o link show type veth | sed 's/^[0-9]*: \([^@:]*\).*/\1/')
	tc qdisc show dev "$link" | grep -q 'tbf.* rate 2Mbit'
	tc qdisc show dev "ifb${link#veth}" | grep -q 'tbf.* rate 3Mbit'
	strata stop -t 0 again
	[ -z "$(ip -o link show type ifb)" ]
	strata start again
	tc qdisc show dev "ifb${link#veth}" | grep -q 'tbf.* rate 3Mbit'
	strata rm -f again
	[ -z "$(ip -o link show type ifb)" ]
}

@test "an instance that may change its own network cannot undo them" {
	serve --name root --cap-add NET_ADMIN --ingress-rate 2m --egress-rate 2m
	wait_until listens root
	local slow link
	slow=$(given root)
	link=$(ip -o link show type veth | sed 's/^[0-9]*: \([^@:]*\).*/\1/')
	strata exec root sh -c 'tc qdisc del dev eth0 root; tc qdisc del dev eth0 ingress; ip link set eth0 mtu 1400' || true
	tc qdisc show dev "ifb${link#veth}" | grep -q 'tbf.* rate 2Mbit'
	tc filter show dev "$link" ingress | grep -q "Redirect to device ifb${link#veth}"
	between 0 250 "$slow" "$(given root)"
}

@test "a virtual machine's tap has them as well" {
	local link
	link() { ip -o link show type tun | sed 's/^[0-9]*: \([^@:]*\).*/\1/'; }
	strata run -d --name vm --virt hosted --network bridge --memory 64M --ingress-rate 800k --kernel "${STRATA_BIN%/*}/bench/guest_wait"
	wait_until sh -c '[ "$(strata logs vm)" = x ]'
	tc qdisc show dev "$(link)" | grep -q 'tbf.* rate 800Kbit'
	[ -z "$(ip -o link show type ifb)" ]
	strata update --ingress-rate 0 --egress-rate 2400k vm
	[ -z "$(tc qdisc show dev "$(link)" | grep tbf)" ]
	link=$(link)
	tc qdisc show dev "ifb${link#veth}" | grep -q 'tbf.* rate 2400Kbit'
	tc filter show dev "$link" ingress | grep -q "Redirect to device ifb${link#veth}"
	strata rm -f vm
	[ -z "$(ip -o link show type ifb)" ]
}

@test "what cannot be had is one line" {
	local flags
	run strata run --network none --ingress-rate 1m demo true
	one_line_error 'network none'
	run strata run --network host --egress-rate 1m demo true
	one_line_error 'network host'
	run strata run --network passt --virt hosted --egress-rate 1m demo true
	one_line_error 'passt'
	for flags in "--ingress-rate x" "--ingress-rate 1" "--egress-rate -5" "--egress-rate 10mb" "--egress-rate 2000g" "--egress-rate 10mbits"; do
		# shellcheck disable=SC2086 # words
		run strata run $flags demo true
		one_line_error 'rate'
	done
	strata create --name rest --network none demo true
	run strata update --ingress-rate 1m rest
	one_line_error 'network none'
	strata inspect rest | jq -e '.[0].limits.ingress_bits == null'
}
