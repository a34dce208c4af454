# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tee layer after many reports: test_growth.py TEE-TOOL [unittest's arguments]

Neither memory nor descriptors, good reports or bad ones; nor those of the simulator, which others count on.
20,000 of each with ATTESTD_TEST_LONG=yes.
"""

import os
import unittest

import test_device as device
import private_guest  # noqa: E402

LONG = os.environ.get("ATTESTD_TEST_LONG") == "yes"
MANY = 20_000 if LONG else 600
# A quote of each report is seen in the short test, 16 bytes of each in the long one.
GROWTH_KIB = 1536 if LONG else 256


class Growth(device.Base):
    def setUp(self):
        super().setUp()
        self.tee.command("witness keep 64")
        self.addCleanup(self.tee.command, f"witness keep {2**32 - 1}")

    def memory(self):
        return [] if private_guest.is_sanitized(self.tool.process.pid) else [self.tool.rss_kib(), self.guest.simulator_rss_kib()]

    def grows_not(self, may_fail):
        self.tool.many(200)
        before, descriptors = self.memory(), self.tool.descriptors()
        good = self.tool.many(MANY)
        after = self.memory()
        if not may_fail:
            self.assertEqual(good, MANY)
        self.assertGreater(good, 0)
        for was, now in zip(before, after):
            self.assertLess(now - was, GROWTH_KIB, f"KiB: {before}, {after}")
        self.assertEqual(self.tool.descriptors()[1], descriptors[1])
        self.assertLessEqual(self.tool.descriptors()[0], 2)

    def test_good_reports_leave_nothing_behind(self):
        self.grows_not(may_fail=False)

    def test_bad_reports_leave_nothing_behind(self):
        for fault in "ebusy", "errno read:outblob EIO", "short 700", "foreign-writer recreate":
            self.fault(fault + " after 40")
            self.tool.many(100)
            self.tee.clear()
        self.fault("random 60")
        self.grows_not(may_fail=True)


class GrowthOfSnp(Growth):
    """With certificates; and with faults that leave the driver its key."""

    guest_options = {"tee": "snp"}
    kind, provider = "snp", "sev_guest"

    def test_bad_reports_leave_nothing_behind(self):
        for fault in "short 700", "generation late-jump", "foreign-writer recreate":
            with self.subTest(fault=fault):
                self.fault(fault)
                self.tool.many(100)
                before = self.memory()
                self.assertEqual(self.tool.many(MANY // 5), 0)
                for was, now in zip(before, self.memory()):
                    self.assertLess(now - was, GROWTH_KIB)
                self.tee.clear()


if __name__ == "__main__":
    unittest.main()
