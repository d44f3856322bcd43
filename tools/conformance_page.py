# SPDX-License-Identifier: Apache-2.0
"""docs/conformance.md: one section a suite, between two comments that name it, made from results."""
import os
import re
import subprocess

WORDS = ("pass", "fail", "skip", "silent")


def reason_of(reasons, test):
    """The reason given for a test, or for all whose names begin as "NAME*" does; the longest of those."""
    if test in reasons:
        return reasons[test]
    begins = [name for name in reasons if name.endswith("*") and test.startswith(name[:-1])]
    return reasons[max(begins, key=len)] if begins else ""


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")[0].strip()
    except OSError:
        return ""


def about(suite, runtimes):
    commit = first_line(["git", "-C", suite.folder, "log", "-1", "--format=commit %h of %cs"])
    versions = [re.sub(r" version", "", first_line([path, "--version"])) for path in runtimes.values()]
    return f"{suite.title}{', ' + commit if commit else ''}. {', '.join(versions)}; Linux {os.uname().release}."


def counts(table, names):
    yield "| | " + " | ".join(WORDS) + " |"
    yield "|---|" + "---:|" * len(WORDS)
    for name in names:
        yield f"| {name} | " + " | ".join(str(sum(words.get(name) == word for words in table.values())) for word in WORDS) + " |"


def row(test, words, names, reason):
    return f"| {test} | " + " | ".join(words.get(name, "-") for name in names) + f" | {reason.replace('|', '/')} |"


def by_program(table, names):
    """A row a file: how many of its tests passed, failed, were skipped."""
    yield "| file | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    files = {}
    for test, words in table.items():
        for name, word in words.items():
            files.setdefault(test.split(":")[0], {}).setdefault(name, []).append(word)
    for file, found in sorted(files.items()):
        cells = [" / ".join(str(found.get(name, []).count(word)) for word in WORDS[:3]) for name in names]
        yield f"| {file} | " + " | ".join(cells) + " |"


def section(suite, table, reasons, runtimes):
    names = list(runtimes)
    yield f"## {suite.name}"
    yield ""
    yield about(suite, runtimes)
    yield ""
    yield from counts(table, names)
    yield ""
    if suite.many:
        yield "Passed, failed and skipped, by file:"
        yield ""
        yield from by_program(table, names)
        yield ""
        yield "Each that strata-oci fails:"
        yield ""
    yield "| test | " + " | ".join(names) + " | why |"
    yield "|---|" + "---|" * (len(names) + 1)
    for test, words in sorted(table.items()):
        failed = words.get("strata-oci") == "fail"
        if failed or not suite.many:
            yield row(test, words, names, reason_of(reasons, test) if failed else "")


def write_page(path, suite, table, reasons, runtimes):
    """Puts a suite's section in its place, or at the end; the rest of the page stays."""
    begin, end = f"<!-- {suite.name}: made by make conformance -->", f"<!-- {suite.name}: end -->"
    with open(path, encoding="utf-8") as file:
        page = file.read()
    text = "\n".join([begin, *section(suite, table, reasons, runtimes), end])
    if begin in page and end in page:
        page = page[:page.index(begin)] + text + page[page.index(end) + len(end):]
    else:
        page = f"{page.rstrip()}\n\n{text}\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
