#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images: every form that import takes, export and back, names, removal.
bats_require_minimum_version 1.5.0
load helper

setup_file() {
	strata_setup_file
	tar -C "$DEMO_ROOTFS" --numeric-owner -cf "$SCRATCH/plain.tar" .
}

works() {
	[ "$(timeout 100 strata run --rm --network none "$1" /bin/echo "from $1")" = "from $1" ]
}

id_of() {
	strata image inspect "$1" | jq -r '.[0].id'
}

@test "a tar, plain, gzip, zstd, and from standard input, is one and the same image" {
	gzip -k "$SCRATCH/plain.tar"
	strata image import -q "$SCRATCH/plain.tar" t:plain >/dev/null
	works t:plain
	strata image import -q "$SCRATCH/plain.tar.gz" t:gz >/dev/null
	strata image import -q - t:stdin <"$SCRATCH/plain.tar" >/dev/null
	strata image import -q - t:stdingz <"$SCRATCH/plain.tar.gz" >/dev/null
	if command -v zstd >/dev/null; then
		zstd -q -k "$SCRATCH/plain.tar"
		strata image import -q "$SCRATCH/plain.tar.zst" t:zst >/dev/null
		works t:zst
	fi
	local name layers
	layers=$(strata image inspect t:plain | jq -c '.[0].layers')
	for name in gz stdin stdingz; do
		works t:$name
		[ "$(strata image inspect t:$name | jq -c '.[0].layers')" = "$layers" ]
	done
	strata image ls -f json | jq -r '.[] | select(.repository == "t" or (.name // "" | startswith("t:"))) | "x"' | grep -q x
}

@test "export and back, in each form, gives the same id" {
	local form id
	id=$(id_of demo)
	for form in docker oci; do
		strata image export --format $form -o "$SCRATCH/$form.tar" demo
		[ "$(strata --root "$SCRATCH/second" image import -q "$SCRATCH/$form.tar" back:$form | tail -n 1 | grep -c .)" -eq 1 ]
		[ "$(strata --root "$SCRATCH/second" image inspect back:$form | jq -r '.[0].id')" = "$id" ]
	done
	strata image export --format oci-dir -o "$SCRATCH/layout" demo
	strata --root "$SCRATCH/second" image import -q "$SCRATCH/layout" back:dir >/dev/null
	[ "$(strata --root "$SCRATCH/second" image inspect back:dir | jq -r '.[0].id')" = "$id" ]
	strata image export demo | strata --root "$SCRATCH/second" image import -q - back:pipe >/dev/null
	[ "$(strata --root "$SCRATCH/second" image inspect back:pipe | jq -r '.[0].id')" = "$id" ]
}

@test "what skopeo and umoci make is taken, and skopeo takes ours" {
	command -v skopeo >/dev/null || skip "needs skopeo"
	command -v umoci >/dev/null || skip "needs umoci"
	local layout=$SCRATCH/umoci
	umoci init --layout "$layout" >/dev/null
	umoci new --image "$layout:demo" >/dev/null
	umoci unpack --image "$layout:demo" "$SCRATCH/bundle" >/dev/null
	cp -a "$DEMO_ROOTFS/." "$SCRATCH/bundle/rootfs/"
	umoci repack --image "$layout:demo" "$SCRATCH/bundle" >/dev/null
	umoci config --image "$layout:demo" --config.entrypoint /bin/echo --config.cmd hello \
		--config.env WHO=umoci >/dev/null
	skopeo copy -q "oci:$layout:demo" "docker-archive:$SCRATCH/saved.tar:made:one"
	skopeo copy -q "oci:$layout:demo" "oci-archive:$SCRATCH/oci.tar:demo"
	strata image import -q "$layout" u:layout >/dev/null
	strata image import -q "$SCRATCH/oci.tar" u:oci >/dev/null
	strata image import -q "$SCRATCH/saved.tar" >/dev/null
	local name
	for name in u:layout u:oci made:one; do
		[ "$(timeout 100 strata run --rm --network none $name)" = hello ]
		[ "$(timeout 100 strata run --rm --network none --entrypoint sh $name -c 'echo $WHO')" = umoci ]
	done
	strata image pull "oci:$layout:demo" >/dev/null 2>&1 || true # forms of pull are skopeo's
	strata image export -o "$SCRATCH/ours.tar" demo
	skopeo inspect "docker-archive:$SCRATCH/ours.tar" >/dev/null
	strata image export --format oci -o "$SCRATCH/ours-oci.tar" demo
	skopeo inspect "oci-archive:$SCRATCH/ours-oci.tar" >/dev/null
}

@test "a tag is another name; the image goes with the last" {
	strata image tag demo other:v1
	[ "$(id_of demo)" = "$(id_of other:v1)" ]
	works other:v1
	strata image rm other:v1
	run strata image inspect other:v1
	[ "$status" -ne 0 ]
	works demo
	run strata image tag nosuch x
	[ "$status" -eq 125 ]
	one_line_error nosuch
	run strata image tag demo 'Not A Name'
	[ "$status" -eq 125 ]
	[ "${#lines[@]}" -eq 1 ]
}

@test "an image in use is not removed, and the user is named" {
	strata image import -q -c 'ENV X=1' "$DEMO_ROOTFS" used >/dev/null
	strata create --name holds --network none used true >/dev/null
	run strata image rm used
	[ "$status" -eq 125 ]
	one_line_error "holds|in use"
	strata rm holds
	strata image rm used
}

@test "owners, modes, links, xattrs and devices come through" {
	local tree=$SCRATCH/kinds
	cp -a "$DEMO_ROOTFS" "$tree"
	mkdir "$tree/k"
	echo data >"$tree/k/file"
	ln "$tree/k/file" "$tree/k/hard"
	ln -s file "$tree/k/soft"
	chown 12:34 "$tree/k/file"
	chmod 4755 "$tree/k/file"
	mkfifo "$tree/k/fifo"
	truncate -s 100M "$tree/k/sparse"
	strata image import -q "$tree" kinds >/dev/null
	run timeout 100 strata run --rm --network none kinds sh -c \
		'stat -c "%u %g %a %h" /k/file; readlink /k/soft; stat -c %F /k/fifo; stat -c %s /k/sparse; du -k /k/sparse | cut -f 1'
	[ "${lines[0]}" = "12 34 4755 2" ]
	[ "${lines[1]}" = file ]
	[ "${lines[2]}" = fifo ]
	[ "${lines[3]}" = 104857600 ]
	[ "${lines[4]}" -lt 1000 ]
	strata image rm kinds
}

@test "broken archives are one line and leave nothing" {
	head -c 100000 "$SCRATCH/plain.tar" >"$SCRATCH/cut.tar"
	gzip -c "$SCRATCH/plain.tar" | head -c 10000 >"$SCRATCH/cut.tar.gz"
	echo "no archive" >"$SCRATCH/text"
	: >"$SCRATCH/empty"
	local file before
	before=$(strata image ls -f json | jq length)
	for file in cut.tar cut.tar.gz text empty nosuch; do
		run strata image import -q "$SCRATCH/$file" broken
		[ "$status" -eq 125 ] || { echo "$file: $status $output"; false; }
		[ "${#lines[@]}" -eq 1 ] || { echo "$file: $output"; false; }
	done
	[ "$(strata image ls -f json | jq length)" -eq "$before" ]
	run strata image inspect broken
	[ "$status" -ne 0 ]
	[ -z "$(ls "$STRATA_ROOT/tmp" 2>/dev/null)" ]
}

@test "a digest that does not match is refused" {
	strata image export --format oci-dir -o "$SCRATCH/tampered" demo
	local layer
	layer=$(find "$SCRATCH/tampered/blobs/sha256" -size +100k | head -n 1)
	printf 'none of it' | dd of="$layer" bs=1 seek=60000 conv=notrunc status=none
	run strata --root "$SCRATCH/third" image import -q "$SCRATCH/tampered" bad
	[ "$status" -eq 125 ]
	one_line_error "digest|sha256|match"
}

@test "prune finds a name-less image, and nothing that is used" {
	strata image import -q -c 'ENV V=1' "$DEMO_ROOTFS" moved >/dev/null
	strata image import -q -c 'ENV V=2' "$DEMO_ROOTFS" moved >/dev/null
	strata image prune -a -f >/dev/null
	works moved
	works demo
	strata image rm moved
}

@test "an image for another machine is refused by name" {
	strata image export --format oci-dir -o "$SCRATCH/arm" demo
	python3 - "$SCRATCH/arm" <<-'END'
		import hashlib, json, os, sys
		top = sys.argv[1]
		blob = lambda d: os.path.join(top, "blobs", *d.split(":"))
		def put(o):
		    data = json.dumps(o).encode()
		    digest = "sha256:" + hashlib.sha256(data).hexdigest()
		    open(blob(digest), "wb").write(data)
		    return digest, len(data)
		index = json.load(open(top + "/index.json"))
		m = json.load(open(blob(index["manifests"][0]["digest"])))
		c = json.load(open(blob(m["config"]["digest"])))
		c["architecture"] = "arm64"
		m["config"]["digest"], m["config"]["size"] = put(c)
		index["manifests"][0]["digest"], index["manifests"][0]["size"] = put(m)
		index["manifests"][0].pop("platform", None)
		json.dump(index, open(top + "/index.json", "w"))
	END
	run strata image import -q "$SCRATCH/arm" arm
	if [ "$status" -eq 0 ]; then
		run timeout 100 strata run --rm --network none arm true
	fi
	[ "$status" -eq 125 ]
	one_line_error "arm64"
}
