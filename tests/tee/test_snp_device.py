# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tee layer over the simulator of an SEV-SNP guest: test_snp_device.py TEE-TOOL [unittest's arguments]

What a report of TDX goes through, as far as it is not the same code; and what only
sev_guest has: certificates, privilege levels, a key that is given up.
"""

import os
import unittest

import test_device as device
from test_device import DEVICE_LOST, FAILED, PATIENCE, REPORT

SNP = {"tee": "snp"}
REFUSED = "a paravisor that keeps reports from this guest is not supported"


class Snp(device.Base):
    guest_options = SNP
    kind, provider = "snp", "sev_guest"

    def reload(self):
        """The driver goes and comes: with another key."""
        self.tee.provider(None)
        self.tool.wait_change(lambda s: "load its driver again" in s.detail)
        self.tee.provider("sev_guest")
        self.tool.wait_state("ready")

    def requests(self):
        """How often the driver was asked for a report, whatever it said to it."""
        return self.count("report")


class Protocol(Snp, device.Protocol):
    pass


class Contents(Snp, device.Contents):
    cuts = 1, 3, 4, 79, 80, 143, 144, 671, 672, 1183, -1

    def test_ft07_sc35a_a_length_over_what_follows_is_no_report(self):
        pass  # a report says no lengths; the table of certificates does, see Certificates


class Pace(Snp, device.Pace):
    def test_ft12_ten_reports_in_ten_seconds(self):
        """A tenth of it: the first ten at 8 ms, then one in 100 ms, in whole steps of 20."""
        self.tee.delay(8)
        self.fault("token-bucket 10 1000 20")
        for _ in range(10):
            self.good()
        self.assertLess(self.tool.state().interval_us, 90_000)
        for _ in range(15):
            self.good()
        self.assertGreater(self.tool.state().interval_us, 70_000)
        self.assertLess(self.tool.state().interval_us, 400_000)
        self.assertEqual(self.requests(), 25)  # no try has eaten a token
        self.tee.delay(0)


class Lost(Snp, device.Lost):
    def test_ft04_ft05_a_time_out_costs_the_key_and_then_it_is_left_alone(self):
        self.fault("etimedout 50 times 1")
        answer = self.bad(FAILED)
        self.assertGreater(answer.pause_us, 4_000_000)
        self.assertEqual(self.tool.state().name, "degraded")

        answer = self.bad(DEVICE_LOST)
        self.assertIn("the driver has given up its key", answer.sentence)
        self.assertEqual(self.requests(), 2)
        for _ in range(50):
            self.assertEqual(self.bad(DEVICE_LOST).sentence, answer.sentence)
        state = self.tool.state()
        self.assertEqual((state.name, state.tee, state.detail), ("device-lost", "snp", answer.sentence))
        self.assertEqual([c.name for c in self.tool.changes], ["degraded", "device-lost"])

        # Looks go on, and none of them asks for a report.
        looks = self.count("read", "provider")
        while self.count("read", "provider") < looks + 2:
            self.tee.wait("idle", seconds=PATIENCE)
            self.tool.ping()
        self.assertEqual(self.requests(), 2)
        self.assertEqual(self.tool.state().name, "device-lost")
        self.reload()
        self.good()

    def test_ft05_an_error_of_the_host_costs_the_key(self):
        self.fault("errno read:outblob EIO times 1")
        self.bad(FAILED)
        self.bad(DEVICE_LOST)
        for _ in range(10):
            self.bad(DEVICE_LOST)
        self.assertLessEqual(self.requests(), 1)
        self.reload()
        self.good()

    def test_ft05_sc36c_it_is_lost_for_a_second_one_as_well(self):
        """What the driver has given up, no restart of ours brings back."""
        self.fault("etimedout times 1")
        self.bad(FAILED)
        self.tool.stop()
        self.tool.close()
        self.tool = device.Tool()
        self.descriptors = self.tool.descriptors()
        self.assertEqual(self.tool.first.name, "ready")  # nobody can know without asking
        for _ in range(10):
            self.bad(DEVICE_LOST)
        self.assertEqual(self.requests(), 2)
        self.reload()
        self.tee.command("witness forget")


class Sequences(Snp, device.Sequences):
    """Of faults that leave the driver its key."""

    seed = int(os.environ.get("SEED", "1"))
    guest_options = {**SNP, "seed": seed}
    FAULTS = (
        "stall 20", "empty", "short 700", "reportdata half", "generation late-jump", "foreign-writer recreate",
        "vanish return",
    )

    def test_random_faults(self):
        """Until there is one that does not."""
        self.fault("random 40")
        served = 0
        for i in range(100):
            answer = self.ask()
            served += answer.ok
            self.assertLessEqual(self.count("begin"), device.TRIES, f"request {i}, seed {self.seed}")
            self.tee.command("witness forget")
            if self.tool.state().name == "device-lost":
                self.reload()
                break
        self.assertGreater(served, 0)


class Certificates(Snp):
    def tearDown(self):
        self.tee.set("flaw", "none")
        super().tearDown()

    def test_a_report_comes_with_the_table_of_its_own(self):
        tables = set()
        for chip in "11" * 64, "22" * 64:
            self.tee.set("chip_id", chip)
            answer = self.good()
            self.assertEqual(answer.outblob[0x1A0:0x1E0].hex(), chip)
            self.assertIn(bytes.fromhex(chip), answer.auxblob)  # the VCEK's HWID
            tables.add(answer.auxblob)
        self.assertEqual(len(tables), 2)
        self.assertEqual(self.count("open", "auxblob"), 2)
        self.assertEqual(self.count("begin"), 2)

    def test_a_host_without_certificates_has_reports_all_the_same(self):
        self.tee.set("flaw", "table-absent")
        self.assertEqual(self.good().auxblob, b"")
        self.assertEqual(self.tool.state().name, "ready")

    def test_sc34_what_is_in_the_table_is_for_the_verifier_to_judge(self):
        for flaw in "table-overflow", "table-beyond", "table-large", "table-pem", "table-unterminated":
            self.tee.set("flaw", flaw)
            answer = self.good()
            self.assertGreater(len(answer.auxblob), 0)
            self.assertLessEqual(len(answer.auxblob), 16384)
        self.assertEqual(self.count("begin"), 5)

    def test_sc36_a_table_that_is_made_anew_meanwhile_is_not_that_of_the_report(self):
        self.fault("generation late-jump times 1")
        self.good()
        self.costs(3)  # the read of auxblob had the kernel make one more

    def test_an_auxblob_that_cannot_be_read_fails_the_report(self):
        self.fault("errno read:auxblob EIO times 1")
        self.assertIn("auxblob", self.bad(FAILED).sentence)

    def test_sc24b_a_report_of_every_version_is_carried(self):
        for version in 2, 3, 4, 5:
            self.tee.set("version", version)
            self.assertEqual(self.good().outblob[0], version)
        self.tee.set("version", 3)


class Below(Snp):
    """Below a paravisor at VMPL 0, without services."""

    guest_options = {**SNP, "floor": 2}

    def levels(self):
        return [c.details["text"] for c in self.tee.witness("write") if c.attribute == "privlevel"]

    def test_reports_are_of_the_level_of_this_guest(self):
        for _ in range(3):
            answer = self.good()
            self.assertEqual(int.from_bytes(answer.outblob[0x30:0x34], "little"), 2)
        self.assertEqual(self.levels(), ["2"])  # once for an entry
        entry, = os.listdir(REPORT)
        self.tee.command(f"remove {entry}")
        self.good()
        self.assertEqual(self.levels(), ["2", "2"])
        self.assertEqual(self.count("open", "service_provider") + self.count("open", "manifestblob"), 0)

    def test_a_level_that_the_firmware_refuses_is_said(self):
        self.fault("errno read:outblob EINVAL")
        answer = self.bad(FAILED)
        self.assertIn(REFUSED, answer.sentence)
        self.assertGreater(answer.pause_us, 4_000_000)
        state = self.tool.state()
        self.assertEqual((state.name, state.detail), ("degraded", answer.sentence))
        self.tee.clear()
        self.good()

    def test_a_level_that_cannot_be_written_is_said(self):
        entry, = os.listdir(REPORT)
        self.tee.command(f"remove {entry}")
        self.fault("errno write:privlevel EINVAL")
        self.assertIn(REFUSED, self.bad(FAILED).sentence)
        self.assertEqual(self.tool.state().name, "degraded")
        self.assertEqual(os.listdir(REPORT), [])

    def test_a_floor_that_rises_under_an_entry_is_found_at_the_next(self):
        self.good()
        self.tee.command("set privlevel-floor 3")
        self.assertIn(REFUSED, self.bad(FAILED).sentence)
        entry, = os.listdir(REPORT)
        self.tee.command(f"remove {entry}")
        self.assertEqual(int.from_bytes(self.good().outblob[0x30:0x34], "little"), 3)
        self.tee.command("set privlevel-floor 2")


class BelowSvsm(Below):
    """One that would attest its services: the reports are the same, and it is not asked."""

    guest_options = {**SNP, "floor": 2, "svsm": True}


if __name__ == "__main__":
    unittest.main(verbosity=2)
