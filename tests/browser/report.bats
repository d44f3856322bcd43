#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The report of strata compare as a browser has it: made-up results (tests/unit/compare/scene.c), a hostile one among them. Chromium is
# Debian's; axe-core and html-validate come from the npm registry, at the versions of package-lock.json, into the build directory.
bats_require_minimum_version 1.5.0

setup_file()
{
	HERE=$BATS_TEST_DIRNAME
	REPO=$(cd "$HERE/../.." && pwd)
	PAGES=$(mktemp -d /tmp/strata-browser-test.XXXXXX)
	TOOLS=$REPO/build/browser
	export HERE REPO PAGES TOOLS
	local scene
	for scene in full hostile one none; do
		"$REPO/build/tests/compare_render" $scene html >"$PAGES/$scene.html"
	done
	"$REPO/build/tests/compare_render" full json >"$PAGES/now.json"
	# every start was half as long once, and disks were slower
	jq '(.metrics[] | select(.id == "life.start") .cells[].samples[]) |= . / 2
		| (.metrics[] | select(.id == "disk.random") .cells[].samples[]) |= . / 2' "$PAGES/now.json" >"$PAGES/old.json"
	"$REPO/build/tests/compare_render" full html 0 "$PAGES/old.json" >"$PAGES/changed.html"
	# what each of the checks below must find: something fetched, no title, too wide, not closed
	printf '<!DOCTYPE html><html><body><p style="width:3000px">x<div></p><img src="none.png"></body></html>' >"$PAGES/bad.html"
	npm_install
}

# Once for each package-lock.json. Without a registry the tests that need it are skipped.
npm_install()
{
	cmp -s "$HERE/package-lock.json" "$TOOLS/package-lock.json" && return 0
	command -v npm >/dev/null || return 0
	rm -rf "$TOOLS"
	mkdir -p "$TOOLS"
	cp "$HERE/package.json" "$TOOLS"
	cp "$HERE/package-lock.json" "$TOOLS/package-lock.json.new"
	(cd "$TOOLS" && mv package-lock.json.new package-lock.json &&
		timeout 180 npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 >npm.log 2>&1 3>&-) || rm -f "$TOOLS/package-lock.json"
}

teardown_file()
{
	rm -rf "$PAGES"
}

needs_browser()
{
	command -v chromium >/dev/null && command -v chromedriver >/dev/null || skip "needs chromium and chromium-driver: make setup"
}

needs_npm()
{
	[ -e "$TOOLS/package-lock.json" ] || skip "needs npm (make setup) and the npm registry"
}

browser()
{
	python3 "$HERE/browser.py" "$@" 3>&-
}

pages()
{
	printf '%s\n' "$PAGES"/{full,hostile,one,none,changed}.html
}

@test "the report opens at 400, 1280 and 2560 pixels, light and dark, without an error or a fetch" {
	needs_browser
	browser check "$PAGES/full.html" "$PAGES/hostile.html"
}

@test "a page with errors is told from one without" {
	needs_browser
	run browser check "$PAGES/bad.html"
	[ "$status" -eq 1 ]
	[[ $output == *"bad.html, 400, light: console: SEVERE"* ]]
	[[ $output == *"bad.html, 2560, dark: fetches file://"* ]]
	[[ $output == *"pixels too wide"* ]]
}

@test "axe-core finds nothing in the report, and something where there is" {
	needs_browser
	needs_npm
	local pages
	mapfile -t pages < <(pages)
	browser check --axe "$TOOLS/node_modules/axe-core/axe.min.js" "${pages[@]}"
	run browser check --axe "$TOOLS/node_modules/axe-core/axe.min.js" "$PAGES/bad.html"
	[ "$status" -eq 1 ]
	[[ $output == *"axe: document-title"* ]]
	[[ $output == *"axe: image-alt"* ]]
}

@test "the report is valid HTML, and what is not is found" {
	needs_npm
	local pages
	mapfile -t pages < <(pages)
	cd "$TOOLS"
	node_modules/.bin/html-validate --max-warnings 0 --config "$HERE/htmlvalidate.json" "${pages[@]}"
	run node_modules/.bin/html-validate --config "$HERE/htmlvalidate.json" "$PAGES/bad.html"
	[ "$status" -eq 1 ]
}

@test "the hostile result shows as text and runs nothing" {
	needs_browser
	python3 - "$HERE" "$PAGES/hostile.html" <<-'END'
		import sys
		sys.path.insert(0, sys.argv[1])
		import browser
		with browser.Browser() as b:
		    b.open(sys.argv[2], 1280, "light")
		    assert b.script("return document.scripts.length") == 1
		    assert b.script("return document.scripts[0].type") == "application/json"
		    assert b.script("return document.images.length") == 0
		    assert "<script>alert(1)</script>" in b.script("return document.querySelector('h3').textContent")
		    result = b.script("return JSON.parse(document.getElementById('result').textContent)")
		    assert result["format"] == 1 and "<script>" in result["image"]
	END
}
