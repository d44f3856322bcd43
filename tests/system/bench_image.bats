#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `strata image build-bench` where it goes wrong. That it goes right, with Debian's mirror: tests/lab/suite.bats.
bats_require_minimum_version 1.5.0
load helper

setup_file() {
	strata_setup_file
	command -v apt-get >/dev/null || skip "needs apt-get"
	[ -r /usr/share/keyrings/debian-archive-keyring.gpg ] || skip "needs debian-archive-keyring"
}

nothing_left() {
	[ -z "$(ls -A "$STRATA_ROOT/tmp")" ]
	[ "$(strata image list -q --no-trunc | wc -l)" = 1 ] # demo
}

@test "a mirror that has nothing is one line, and leaves nothing" {
	run --separate-stderr -125 strata image build-bench -q --mirror "file://$SCRATCH/nowhere"
	[ -z "$output" ]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	[[ $stderr == "error: benchmark image: apt-get: "*"$SCRATCH/nowhere"* ]]
	nothing_left
}

@test "a name that no image can have is refused before anything is fetched" {
	run --separate-stderr -125 strata image build-bench No/Such
	[[ $stderr == "error: image name "* ]]
	[[ $stderr != *fetch* ]]
	run --separate-stderr -125 strata image build-bench one two
	[ "$(wc -l <<<"$stderr")" = 1 ]
	nothing_left
}

@test "interrupted while it waits for the mirror, it leaves neither files nor processes" {
	local signal server builder status
	for signal in INT TERM; do
		rm -f "$SCRATCH/port" "$SCRATCH/called"
		python3 - "$SCRATCH" <<-'END' 3>&- &
			import os, socket, sys
			server = socket.create_server(("127.0.0.1", 0))
			with open(sys.argv[1] + "/port.new", "w") as file:
			    file.write(str(server.getsockname()[1]))
			os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
			held = server.accept()
			open(sys.argv[1] + "/called", "w").close()
			held[0].recv(1 << 20)
			while held[0].recv(1 << 20):
			    pass
		END
		server=$!
		wait_until [ -e "$SCRATCH/port" ]
		# a shell's background process ignores SIGINT: env gives it back
		env --default-signal=INT strata image build-bench -q --mirror "http://127.0.0.1:$(cat "$SCRATCH/port")/debian" 3>&- &
		builder=$!
		wait_until [ -e "$SCRATCH/called" ]
		kill -s $signal $builder
		status=0
		wait $builder || status=$?
		[ "$status" -gt 128 ]
		# the connection ends with the last process that had it
		wait $server
		nothing_left
	done
}
