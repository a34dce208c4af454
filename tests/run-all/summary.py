#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""summary.py BUILD...: adds up the tests that ran in these meson build folders.

Each Check case and each Python test method counts, not each program. Prints what
failed or was skipped, by name, then one line "N passed, N failed, N skipped".
Lines "NAME pass" and "NAME fail" on standard input count as one test each.
"""

import json
import pathlib
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in ", re.M)
TROUBLE = re.compile(r"^FAILED \((.*)\)$", re.M)
SKIPPED = re.compile(r"skipped=(\d+)")


def count(test):
    """(passed, failed, skipped) of one program."""
    text = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
    failed = skipped = total = 0
    check, unittest = CHECK.findall(text), UNITTEST.findall(text)
    for checks, failures, errors in check:
        total += int(checks)
        failed += int(failures) + int(errors)
    for n in unittest:
        total += int(n)
    for words in TROUBLE.findall(text):
        failed += sum(int(n) for n in re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", words))
    skipped += sum(int(n) for n in SKIPPED.findall(text))

    result = test["result"]
    if result == "SKIP":
        return 0, 0, max(1, skipped)
    # A program of tests that ran none, as CK_RUN_CASE can have it, has shown nothing.
    if result not in ("OK", "EXPECTEDFAIL") or ((check or unittest) and total == 0):
        failed = max(1, failed)
    total = max(total, failed + skipped, 1)
    return total - failed - skipped, failed, skipped


def main():
    passed = failed = skipped = 0
    for build in sys.argv[1:]:
        log = pathlib.Path(build, "meson-logs/testlog.json")
        # By suite as well: test programs of two layers may have one name.
        due = {f"{suite} / {t['name']}"
               for t in json.loads(pathlib.Path(build, "meson-info/intro-tests.json").read_text())
               for suite in t["suite"]}
        for line in log.read_text().splitlines() if log.exists() else []:
            test = json.loads(line)
            due.discard(test["name"])
            p, f, s = count(test)
            passed, failed, skipped = passed + p, failed + f, skipped + s
            if f or s:
                reason = (test.get("stdout") or "").strip().splitlines()[-1:] or [""]
                print(f"{pathlib.Path(build).name}: {test['name']}: {f} failed, {s} skipped: {reason[0][:200]}")
        for name in sorted(due):  # a run that was cut short must not look green
            print(f"{pathlib.Path(build).name}: {name}: did not run")
            failed += 1
    if not sys.stdin.isatty():
        for line in sys.stdin:
            name, verdict = line.rsplit(None, 1)
            passed += verdict == "pass"
            failed += verdict != "pass"
            if verdict != "pass":
                print(f"{name}: failed")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
