# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is in the tee layer's library: test_link.py LIBATT-TEE.A [unittest's arguments]"""

import re
import subprocess
import sys
import unittest

LIBRARY = sys.argv.pop(1)

# Where kernels show things; and of configfs, these alone.
KERNEL = ("/sys/", "/proc/", "/dev/")
CONFIGFS = {"/sys/kernel/config", "/sys/kernel/config/..", "/sys/kernel/config/tsm/report"}
OVERRIDES = re.compile("getenv|environ|getopt|g_option|g_key_file|dlopen|g_module")
DOUBLES = re.compile("fake|simulat|mock|dummy|emulat", re.IGNORECASE)


def wanted(path):
    """Symbols that a file wants of others."""
    found = set()
    for kind in [], ["--dynamic"]:
        lines = subprocess.run(["nm", "--undefined-only", *kind, path], capture_output=True, text=True).stdout
        found |= {line.split()[-1].split("@")[0] for line in lines.splitlines() if " U " in line}
    return found


def strings(path):
    objects = [path]
    if path.endswith(".a"):  # maybe a thin one
        listing = subprocess.run(["ar", "tP", path], capture_output=True, text=True, check=True).stdout
        objects = listing.splitlines()
    lines = subprocess.run(["strings", "--data", *objects], capture_output=True, text=True, check=True).stdout
    return lines.splitlines()


class Link(unittest.TestCase):
    def test_sc44_nothing_but_the_kernel_s_own_path(self):
        # Sources are named by sanitizers.
        mentioned = {s for s in strings(LIBRARY) if s.startswith("/") and not s.endswith((".c", ".h"))}
        self.assertEqual({s for s in mentioned if not s.startswith(KERNEL)}, set())
        self.assertEqual({s for s in mentioned if s.startswith("/sys/kernel/config")}, CONFIGFS)

    def test_sc44_sc32c_nothing_outside_moves_it(self):
        self.assertEqual({s for s in wanted(LIBRARY) if OVERRIDES.search(s)}, set())
        self.assertIn("openat", {s.removesuffix("64") for s in wanted(LIBRARY)})  # so we have seen all
        self.assertIn("getenv", wanted(sys.executable))  # and would have seen it

    def test_sc44_no_double_is_linked(self):
        self.assertEqual([s for s in strings(LIBRARY) if DOUBLES.search(s)], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
