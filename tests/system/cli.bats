#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the command line says before anything runs: help, errors, exit statuses, and whether the man page keeps up.

setup() {
	STRATA=${STRATA:-$BATS_TEST_DIRNAME/../../build/strata}
	MAN=$BATS_TEST_DIRNAME/../../docs/strata.1
	ROOT=$(mktemp -d /tmp/cli-bats-XXXXXX)
	export STRATA MAN ROOT
}

teardown() {
	rm -rf "$ROOT"
}

strata() {
	"$STRATA" --root "$ROOT/lib" --run-root "$ROOT/run" "$@"
}

# every verb with its path: "run", "image list", "image kernel fetch"
subs() {
	local sub
	for sub in $("$STRATA" "$@" --help | sed -n 's/^  \([a-z]*\)[, ].*/\1/p'); do
		case $sub in
		kernel | lab | disk) subs "$@" "$sub" ;;
		*) echo "$* $sub" ;;
		esac
	done
}

verbs() {
	local verb
	for verb in $("$STRATA" --help | awk '/^  [a-z]/ { print $1 } /^  [a-z]/ { print substr($0, 43) }' |
		awk '{ print $1 }'); do
		case $verb in
		image | volume | network | baremetal)
			subs "$verb"
			;;
		*) echo "$verb" ;;
		esac
	done
}

# the part of the man page on one verb, minus signs plain
man_section() {
	awk -v want="$1" '/^\.S[SH] / { on = 0; n = split(substr($0, 5), names, ", ")
		for (i = 1; i <= n; i++) if (names[i] == want) on = 1 } on' "$MAN" | sed 's/\\-/-/g'
}

@test "all verbs of the issue are there" {
	for verb in run create start stop restart kill pause resume exec attach logs ps inspect stats wait cp \
		rename rm events compare info version image volume network top boot completion unpause images pull rmi load; do
		run "$STRATA" $verb --help
		[ "$status" -eq 0 ] || { echo "$verb: $output"; false; }
	done
}

@test "help of every verb fits the screen" {
	[ "$(verbs | wc -l)" -ge 40 ]
	while read -r verb; do
		run "$STRATA" $verb --help
		[ "$status" -eq 0 ]
		[[ ${lines[0]} == "Usage: strata $verb"* ]] || { echo "$verb: ${lines[0]}"; false; }
		max=24
		case $verb in run | create) max=60 ;; esac
		[ "$(printf '%s\n' "$output" | wc -l)" -le $max ] || { echo "$verb is too long"; false; }
		! printf '%s\n' "$output" | grep -E '^.{81}' || { echo "$verb is too wide"; false; }
	done < <(verbs)
}

@test "help of strata itself fits the screen" {
	run "$STRATA"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -le 26 ]
	! printf '%s\n' "$output" | grep -E '^.{81}' || false
	[ "$("$STRATA" --help)" = "$output" ]
	[ "$("$STRATA" help)" = "$output" ]
}

@test "the man page has every verb and every flag" {
	while read -r verb; do
		section=$(man_section "$verb")
		[ -n "$section" ] || { echo "no section on '$verb'"; false; }
		for flag in $("$STRATA" completion words -- $verb | grep '^--'); do
			[ "$flag" = --help ] || grep -qE -- "$flag([^-a-z]|\$)" <<<"$section" ||
				{ echo "$verb: no $flag"; false; }
		done
	done < <(verbs)
	for flag in --root --run-root --host --debug --version --help; do
		grep -q -- "$flag" <<<"$(man_section strata)"
	done
}

@test "the man page has no flag that is not there" {
	while read -r verb; do
		flags=$("$STRATA" completion words -- $verb)
		[ "$verb" != create ] || continue # shares its section with run, which has more
		for flag in $(man_section "$verb" | grep -A1 '^\.TP' | grep -oE -- '--[a-z][-a-z]*'); do
			grep -qxF -- "$flag" <<<"$flags" || { echo "$verb has no $flag"; false; }
		done
	done < <(verbs)
}

@test "completion offers every verb and flag that help shows" {
	words=$("$STRATA" completion words --)
	while read -r verb; do
		grep -qxF -- "${verb%% *}" <<<"$words" || { echo "no $verb"; false; }
		flags=$("$STRATA" completion words -- $verb)
		for flag in $("$STRATA" $verb --help | grep '^  *-' | sed 's/  [^- ].*//' |
			grep -oE -- '--[a-z][-a-z]*'); do
			grep -qxF -- "$flag" <<<"$flags" || { echo "$verb: no $flag"; false; }
		done
	done < <(verbs)
}

@test "the completion script is the installed one and works" {
	"$STRATA" completion bash | diff - "$BATS_TEST_DIRNAME/../../data/strata.bash"
	mkdir "$ROOT/bin"
	ln -s "$(realpath "$STRATA")" "$ROOT/bin/strata"
	run env PATH="$ROOT/bin:$PATH" bash -c '
		source <(strata completion bash)
		COMP_LINE="strata image pr" COMP_POINT=15
		_strata
		echo "${COMPREPLY[*]}"'
	[ "$output" = prune ]
}

@test "the version is printed" {
	run "$STRATA" --version
	[ "$status" -eq 0 ]
	[[ $output == "strata version "* ]]
	[ "$("$STRATA" version -f json | jq -r .strata)" = "${output#strata version }" ]
}

# one line "error: ...", and 125
refused() {
	local want=$1
	shift
	run strata "$@"
	[ "$status" -eq 125 ] || { echo "$*: status $status: $output"; false; }
	[ "${#lines[@]}" -eq 1 ] || { echo "$*: $output"; false; }
	[[ ${lines[0]} == "error: "*"$want"* ]] || { echo "$*: ${lines[0]}, not $want"; false; }
}

@test "a wrong verb is named, and a near one offered" {
	refused "unknown verb 'rnu', did you mean 'strata run'?" rnu
	refused "did you mean 'strata image list'?" image lsit
	refused "unknown verb 'frobnicate', see 'strata --help'" frobnicate
	refused "needs a verb" volume
}

@test "a wrong flag is named, and the help" {
	refused "unknown flag --foo, see 'strata run --help'" run --foo demo
	refused "unknown flag --memroy, did you mean --memory?" run --memroy=1 demo
	refused "unknown flag -Q in '-Q'" ps -Q
	refused "--name needs a value" run --name
	refused "see 'strata --help'" --foo
	refused "use --filter" ps -f name=web
	refused "--format takes table or json" ps -f xml
}

@test "missing and surplus operands are told" {
	refused "IMAGE is missing" run
	refused "usage: strata rename INSTANCE NAME" rename a
	refused "usage: strata exec" exec a
	refused "one word too many" version now
}

@test "values that cannot be are refused before anything is made" {
	refused "--memory: 'lots' is not a size" run -m lots demo
	refused "not between" run --pids-limit 99999999 demo
	refused "the host's port" run -p 99999:80 demo
	refused "is not absolute" run -v data:relative demo
	refused "not an architecture" run --virt quantum demo
	refused "--rm and --restart" run --rm --restart always demo
	refused "-t with -i needs a terminal" run -it demo </dev/null
	refused "read /nosuch" run --env-file /nosuch demo
	refused "one of a and b must be in an instance" cp a b
	[ ! -e "$ROOT/lib" ]
}

@test "what is not there is 125" {
	refused nosuch run nosuch
	refused nosuch start nosuch
	refused nosuch stop nosuch
	refused nosuch exec nosuch true
	refused nosuch image export -o "$ROOT/x" nosuch
	refused nosuch image rm nosuch
	refused nosuch volume rm nosuch
	refused nosuch network rm nosuch
	refused nosuch cp nosuch:/etc/hosts "$ROOT"
}

@test "a failed run leaves no cidfile" {
	refused nosuch run --cidfile "$ROOT/cid" nosuch
	[ ! -e "$ROOT/cid" ]
	touch "$ROOT/cid"
	refused "File exists" run --cidfile "$ROOT/cid" nosuch
}

@test "lists of nothing are a header, or an empty array" {
	for list in ps images "image ls" "volume ls" "stats --no-stream"; do
		[ "$(strata $list -f json | jq -c .)" = "[]" ]
		[ "$(strata $list | wc -l)" -eq 1 ]
	done
}

@test "output that cannot be written is an error" {
	run bash -c '"$STRATA" version >/dev/full'
	[ "$status" -eq 125 ]
	[[ $output == *"write to standard output: No space left on device"* ]]
}

@test "data is not removed unasked" {
	refused "--force" volume prune </dev/null
	run strata volume prune --force
	[ "$status" -eq 0 ]
}

@test "info --compare says of every architecture what it is" {
	run "$STRATA" info --compare
	[ "$status" -eq 0 ]
	! printf '%s\n' "$output" | grep -E '^.{81}' || false
	for name in os-level hybrid hosted bare-metal; do
		printf '%s\n' "$output" | grep -qx "$name" || { echo "no $name"; false; }
	done
	[ "$(printf '%s\n' "$output" | grep -c '^  a breach reaches ')" -eq "$(printf '%s\n' "$output" | grep -c '^[a-z]')" ]

	run "$STRATA" info --compare -f json
	[ "$status" -eq 0 ]
	# no architecture without an answer, and none that has another's about the kernel and itself
	printf '%s' "$output" | jq -e 'length >= 4 and all(.[]; (.privileged_instructions, .kernel, .shared, .breach, .gives) | length > 10)'
	[ "$(printf '%s' "$output" | jq -r '.[].privileged_instructions' | sort -u | wc -l)" -eq "$(printf '%s' "$output" | jq length)" ]
}
