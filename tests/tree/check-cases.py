#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-cases.py TESTS [--open]: which security cases and device faults have a named test.

A test that proves a case carries its number: sc11b_..., ft06_...; a name may carry
several. Fails when one that is due has none; --open also lists those of later work.
"""

import pathlib
import re
import sys

# Case: its lettered tests; "" where it has but one.
DUE = {
    1: "", 2: "ab", 3: "abcdef", 4: "", 5: "ab", 6: "abcd", 7: "", 8: "abc", 9: "ab", 10: "", 11: "abcdefg",
    12: "abcd", 13: "", 14: "abc", 18: "bc", 19: "adefh", 20: "abe", 21: "abcd", 22: "ab", 23: "abcdef", 24: "abc",
    25: "abcd", 26: "ac", 34: "abcd", 35: "abc", 36: "abcd", 37: "abcdef", 38: "ab", 39: "abcde", 40: "abcd", 41: "ab",
    42: "", 43: "", 44: "", 45: "abcd",
    15: "ab", 16: "abcdef", 17: "", 27: "ab", 28: "abcd", 29: "abcdefghi", 30: "abc", 31: "ab", 32: "abc", 33: "ab",
}
LATER = {
    18: "adef", 19: "bcgi", 20: "cdfg", 26: "b", 46: "",
}
FAULTS = range(1, 17)


def names(tests):
    """Every sc.. and ft.. that is part of the name of a test."""
    found = set()
    for path in [*tests.rglob("*.c"), *tests.rglob("*.py"), *tests.rglob("*.sh")]:
        for name in re.findall(r"(?:START_TEST\(|def test_)(\w+)", path.read_text()):
            found.update(re.findall(r"(?:sc|ft)\d\d[a-z]?(?=_|$)", name))
    return found


def missing(table, found):
    for case, letters in table.items():
        for letter in letters or [""]:
            if f"sc{case:02}{letter}" not in found:
                yield f"SC-{case:02}{letter}"


def main():
    found = names(pathlib.Path(sys.argv[1]))
    due = [*missing(DUE, found), *(f"FT-{n:02}" for n in FAULTS if f"ft{n:02}" not in found)]
    print(f"{sum(n.startswith('sc') for n in found)} security tests and "
          f"{sum(n.startswith('ft') for n in found)} device faults are named")
    if due:
        print("due, without a test:", *due)
    if "--open" in sys.argv:
        print("of later work, without a test:", *missing(LATER, found))
    return bool(due)


if __name__ == "__main__":
    sys.exit(main())
