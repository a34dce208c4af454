#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""summary.py: what did not go well must not look green."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SUMMARY = pathlib.Path(__file__).resolve().with_name("summary.py")
CHECKS = "Running suite(s): x\n100%: Checks: 3, Failures: 0, Errors: 0\n"


class Summary(unittest.TestCase):
    def summary(self, due, ran, lines=""):
        """Its last line, and whether it calls that a success. due: names; ran: (name, result, output)."""
        with tempfile.TemporaryDirectory() as build:
            for folder in "meson-info", "meson-logs":
                pathlib.Path(build, folder).mkdir()
            tests = [{"name": name.split(" / ")[1], "suite": [name.split(" / ")[0]]} for name in due]
            pathlib.Path(build, "meson-info/intro-tests.json").write_text(json.dumps(tests))
            pathlib.Path(build, "meson-logs/testlog.json").write_text("".join(
                json.dumps({"name": name, "result": result, "stdout": output}) + "\n" for name, result, output in ran))
            result = subprocess.run([sys.executable, SUMMARY, build], input=lines, capture_output=True, text=True)
        return result.stdout.splitlines()[-1], result.returncode == 0

    def test_each_test_counts(self):
        self.assertEqual(
            self.summary(["a / x", "a / y", "a / z"],
                         [("a / x", "OK", CHECKS), ("a / y", "OK", "Ran 2 tests in 0.1s\n\nOK (skipped=1)\n"),
                          ("a / z", "OK", "")], "fuzz-x pass\n"),
            ("6 passed, 0 failed, 1 skipped", True))

    def test_what_failed_is_red(self):
        for result, output in (
            ("FAIL", CHECKS.replace("Failures: 0", "Failures: 1")),
            ("ERROR", CHECKS.replace("Errors: 0", "Errors: 1")),
            ("TIMEOUT", ""),
            ("FAIL", "Ran 3 tests in 0.1s\n\nFAILED (failures=1)\n"),
        ):
            line, green = self.summary(["a / x"], [("a / x", result, output)])
            self.assertIn(" 1 failed", line)
            self.assertFalse(green)
        self.assertEqual(self.summary(["a / x"], [("a / x", "OK", CHECKS)], "fuzz-x fail\n"),
                         ("3 passed, 1 failed, 0 skipped", False))

    def test_what_did_not_run_is_red(self):
        self.assertEqual(self.summary(["a / x", "a / y"], [("a / x", "OK", CHECKS)]),
                         ("3 passed, 1 failed, 0 skipped", False))
        # Its name alone says little: another suite has one that ran.
        self.assertEqual(self.summary(["a / x", "b / x"], [("a / x", "OK", CHECKS)]),
                         ("3 passed, 1 failed, 0 skipped", False))

    def test_a_program_that_ran_no_test_is_red(self):
        for output in CHECKS.replace("Checks: 3", "Checks: 0"), "Ran 0 tests in 0.0s\n\nOK\n":
            self.assertEqual(self.summary(["a / x", "a / y"], [("a / x", "OK", output), ("a / y", "OK", CHECKS)]),
                             ("3 passed, 1 failed, 0 skipped", False))


if __name__ == "__main__":
    unittest.main()
