# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/protocol.md and the other pages say what the code says."""
import re
import subprocess
import unittest

import setting
from second import appraise, messages

ROOT_PAGES = [setting.ROOT / "README.md", setting.ROOT / "NEWS.md", *(setting.ROOT / "docs").glob("*.md"),
              setting.VECTORS / "README.md"]
TEXT = (setting.ROOT / "docs" / "protocol.md").read_text()


def section(number):
    """The text of one numbered section."""
    return re.search(rf"^## {number} .*?(?=^## )", TEXT, re.M | re.S).group()


def rows(text):
    """First cells of its tables."""
    return re.findall(r"^\| (.+?) \|", text, re.M)


class Document(unittest.TestCase):
    def test_the_cddl_is_the_file(self):
        cddl = re.search(r"^```cddl\n(.*?)^```", TEXT, re.M | re.S).group(1)
        self.assertEqual(cddl, (setting.ROOT / "docs" / "attestd.cddl").read_text())

    def test_the_checks_are_those_of_a_result(self):
        named = [r.strip("`") for r in rows(section(8)) if r.startswith("`")]
        self.assertEqual(named, list(appraise.ORDER))
        status, result = setting.verify(b"", "--policy", setting.VECTORS / "any.policy")
        self.assertEqual(status, 1)
        self.assertEqual([c["name"] for c in result["checks"]], named)

    def test_the_profiles_are_those_of_the_code(self):
        header = (setting.ROOT / "src" / "codec" / "claims.h").read_text()
        for name in messages.EVIDENCE, messages.EXPAT_PAD, messages.COCOS:
            self.assertIn(f'"{name}"', header)
            self.assertIn(name, TEXT)

    def test_the_frames_are_those_of_the_code(self):
        limits = {"4 KiB": 4096, "16 KiB": 16384, "128 KiB": 131072, "1 MiB": 1 << 20, "0": 0}
        found = re.findall(r"^\| (\d) \| ([a-z ]+) \| [^|]+ \| ([0-9A-Za-z ]+) \|$", section(6), re.M)
        self.assertEqual([(int(n), name.replace(" ", "-"), limits[limit]) for n, name, limit in found],
                         list(zip(range(10), messages.FRAMES, messages.LIMITS)))

    def test_the_errors_are_those_of_the_bus(self):
        table = (setting.ROOT / "src" / "bus" / "bus-error.c").read_text()
        of_code = set(re.findall(r'\bNAME\("([A-Za-z]+)"\)', table))
        of_text = {r for r in rows(section(10)) if re.fullmatch(r"[A-Z][A-Za-z]+", r)} - {"Name", "Reason"}
        self.assertEqual(of_text, of_code)

    def test_the_reasons_are_those_of_the_code(self):
        of_code = set()
        for path in (setting.ROOT / "src" / "ea").glob("*.c"):
            of_code |= set(re.findall(r'"([a-z]+(?:-[a-z]+)+): ', path.read_text()))
        of_text = set(re.findall(r"^\| `([a-z-]+)`", section(5) + section(10), re.M)) | \
            set(re.findall(r"`([a-z]+-[a-z0-9-]+)`", section(10)))
        self.assertLessEqual(of_code, of_text)

    def test_the_example_of_the_readme_compiles(self):
        example = re.search(r"^```c\n(.*?)^```", (setting.ROOT / "README.md").read_text(), re.M | re.S).group(1)
        flags = subprocess.run(["pkg-config", "--cflags", "gio-2.0", "openssl"], capture_output=True, text=True,
                               check=True).stdout.split()
        got = subprocess.run(["cc", "-xc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
                              f"-I{setting.ROOT / 'src' / 'lib'}", *flags, "-fsyntax-only", "-"], input=example,
                             capture_output=True, text=True)
        self.assertEqual(got.returncode, 0, got.stderr)

    def test_what_it_points_at_is_there(self):
        for page in ROOT_PAGES:
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_the_operators_page_has_every_state_error_and_check(self):
        text = (setting.ROOT / "docs" / "operator.md").read_text()
        errors = (setting.ROOT / "src" / "bus" / "bus-error.c").read_text()
        errors = set(re.findall(r'\bNAME\("([A-Za-z]+)"\)', errors)) - {"Cancelled", "NoSuchSession", "Refused"}
        states = "ready", "degraded", "shared-device", "no-tee", "device-lost"
        for word in (*states, *errors, "policy", "freshness", "peer-name", "pck-chain", "validity", "debug", "attributes",
                     "profile", "machine", "boot", "workload", "state", "collateral"):
            self.assertIn(f"`{word}`", text)


    def test_sc26c_what_attacks_on_the_platform_leave_is_said(self):
        text = section(14)
        for word in "BadRAM", "TEE.fail", "wiretap.fail", "memory bus", "`machine` rules", "`platform snp alias-check`":
            self.assertIn(word, text)


if __name__ == "__main__":
    unittest.main()
