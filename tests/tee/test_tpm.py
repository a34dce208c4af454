# SPDX-License-Identifier: LGPL-2.1-or-later
"""Quotes of a TPM, made by a swtpm behind the simulator's /dev/tpmrm0: test_tpm.py TEE-TOOL [unittest's arguments]"""

import hashlib
import os
import pathlib
import subprocess
import sys
import time
import unittest

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import private_guest  # noqa: E402

private_guest.enter()

TOOL = sys.argv.pop(1)
FAILED, INVALID_ARGUMENT, NO_TEE, DEVICE_BUSY, TIMED_OUT = 0, 1, 6, 8, 9
HASHES = {0x000B: hashes.SHA256(), 0x000C: hashes.SHA384()}
DEADLINE = private_guest.DEADLINE


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        part, self.data = self.data[:n], self.data[n:]
        assert len(part) == n
        return part

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def tpm2b(self):
        return self.take(self.number(2))


class Quote:
    """The member "tpm", read by rules of its own, its signature verified."""

    def __init__(self, payload):
        parts = cbor2.loads(payload)
        assert list(parts) == ["attest", "public", "signature"], parts
        self.name = b"\0\x0b" + hashlib.sha256(parts["public"]).digest()

        a = Reader(parts["attest"])
        assert a.take(6) == b"\xffTCG\x80\x18"
        self.signer, self.extra_data = a.tpm2b(), a.tpm2b()
        a.take(8 + 4 + 4 + 1 + 8)
        assert a.number(4) == 1
        self.algorithm, size, self.bits = a.number(2), a.number(1), a.take(3)
        assert size == 3
        self.digest = a.tpm2b()
        assert not a.data

        p = Reader(parts["public"])
        kind, self.name_algorithm, self.attributes = p.number(2), p.number(2), p.number(4)
        p.tpm2b()
        assert p.number(2) == 0x10
        if p.number(2) != 0x10:
            p.take(2)
        if kind == 0x0023:
            assert p.take(4) == b"\0\x03\0\x10"
            key = ec.EllipticCurvePublicNumbers(int.from_bytes(p.tpm2b(), "big"), int.from_bytes(p.tpm2b(), "big"),
                                                ec.SECP256R1()).public_key()
        else:
            p.take(6)
            key = rsa.RSAPublicNumbers(65537, int.from_bytes(p.tpm2b(), "big")).public_key()
        assert not p.data

        s = Reader(parts["signature"])
        scheme, self.hash = s.number(2), HASHES[s.number(2)]
        if scheme == 0x0018:
            signature = utils.encode_dss_signature(int.from_bytes(s.tpm2b(), "big"), int.from_bytes(s.tpm2b(), "big"))
            self.verify = lambda data: key.verify(signature, data, ec.ECDSA(self.hash))
        else:
            assert scheme == 0x0014
            raw = s.tpm2b()
            self.verify = lambda data: key.verify(raw, data, padding.PKCS1v15(), self.hash)
        assert not s.data
        self.verify(parts["attest"])
        try:
            self.verify(parts["attest"] + b"\0")
        except InvalidSignature:
            return
        raise AssertionError("anything would verify")


def extra_data(r):
    return hashlib.sha256(b"attestd tpm/1\0" + r).digest()


class Tool:
    def __init__(self):
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.is_stopped = False
        self.line("state")

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def line(self, kind):
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise EOFError
            words = line.rstrip("\n").split(" ", 3)
            if words[0] == kind:
                return words

    def open(self, bank="sha256", handle=0):
        """The name of the AK; or code and sentence."""
        self.say(f"tpm {bank} {handle:#x}")
        return self.result("tpm")

    def result(self, kind):
        words = self.line(kind)
        return bytes.fromhex(words[2]) if words[1] == "ok" else (int(words[2]), words[3])

    def quote(self, r):
        self.say(f"quote {r.hex()}")
        return self.result("quote")

    def bank(self):
        self.say("bank")
        return self.line("bank")[1]

    def stop(self):
        self.say("stop 10000")
        self.line("stopped")
        self.is_stopped = True

    def close(self):
        if not self.is_stopped:
            self.stop()
        self.process.stdin.close()
        status = self.process.wait(DEADLINE)
        self.process.stdout.close()
        if status != 0:
            raise AssertionError(f"it ended with {status}")


class TpmTest(private_guest.GuestTest):
    guest_options = {"ima": True, "tpm": True}

    def setUp(self):
        super().setUp()
        self.tool = Tool()
        self.addCleanup(self.tool.close)

    def check_quote(self, payload, r, name, bank="sha256"):
        quote = Quote(payload)
        self.assertEqual(quote.name, name)
        self.assertEqual(quote.extra_data, extra_data(r))
        self.assertEqual((quote.algorithm, quote.bits), ({"sha1": 4, "sha256": 11, "sha384": 12}[bank], b"\0\4\0"))
        self.assertEqual(quote.digest, hashlib.new(quote.hash.name, self.guest.tpm.read(10, bank)).digest())
        return quote

    def make_key(self, *arguments, attributes="fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"):
        """A persistent key of the owner's."""
        tools = {**os.environ, "TPM2TOOLS_TCTI": "device:/dev/tpmrm0"}
        context = str(self.guest.directory / "key.ctx")
        subprocess.run(["tpm2_createprimary", "-Q", "-C", "o", *arguments, "-a", attributes, "-c", context],
                       env=tools, check=True)
        subprocess.run(["tpm2_evictcontrol", "-Q", "-C", "o", "-c", context, "0x81000003"], env=tools, check=True)
        return 0x81000003


class Quotes(TpmTest):
    def test_a_quote_is_over_pcr_10_and_for_this_evidence(self):
        name = self.tool.open()
        self.assertEqual(len(name), 34)
        for path in "/a", "/b":
            self.guest.ima.measure(path)
            r = os.urandom(64)
            quote = self.check_quote(self.tool.quote(r), r, name)
            self.assertEqual(quote.digest, hashlib.sha256(self.guest.ima.aggregate("sha256")).digest())

        # fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign
        self.assertEqual(quote.attributes, 0x00050472)
        # A primary key of the endorsement hierarchy, and of no other.
        self.assertEqual(quote.signer, b"\0\x0b" + hashlib.sha256(b"\x40\0\0\x0b" + name).digest())

    def test_other_banks(self):
        for bank in "sha384", "sha1":
            with self.subTest(bank):
                name, r = self.tool.open(bank), os.urandom(64)
                self.check_quote(self.tool.quote(r), r, name, bank)

    def test_the_key_is_the_same_each_time(self):
        name = self.tool.open()
        again = Tool()
        self.assertEqual(again.open(), name)
        self.assertEqual(again.open("sha384"), name)
        again.close()

    def test_many_quotes(self):
        # The TPM has room for three objects: what is made is let go of.
        for _ in range(8):
            name, r = self.tool.open(), os.urandom(64)
            self.check_quote(self.tool.quote(r), r, name)

    def test_a_report_comes_with_a_quote_for_the_same_r(self):
        name, r = self.tool.open(), os.urandom(64)
        self.tool.say(f"report {r.hex()}")
        self.assertEqual(self.tool.line("report")[2], "ok")
        self.check_quote(self.tool.result("quote"), r, name)

    def test_the_bank_that_ima_extends(self):
        self.assertEqual(self.tool.bank(), "sha256")


class Keys(TpmTest):
    def test_a_persistent_key(self):
        handle = self.make_key("-G", "rsa2048:rsassa-sha256:null")
        name, r = self.tool.open("sha256", handle), os.urandom(64)
        self.check_quote(self.tool.quote(r), r, name)

    def test_a_handle_without_a_key(self):
        code, sentence = self.tool.open("sha256", 0x81000004)
        self.assertEqual(code, FAILED)
        self.assertRegex(sentence, "^the TPM does not give its key: .*correct AkHandle=$")

    def test_a_handle_of_something_else(self):
        for handle in 0x80000000, 0x82000000, 0x01C00002, 1:
            self.assertEqual(self.tool.open("sha256", handle)[0], INVALID_ARGUMENT)

    def test_a_key_that_signs_anything(self):
        handle = self.make_key("-G", "ecc256:ecdsa-sha256:null",
                               attributes="fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign")
        code, sentence = self.tool.open("sha256", handle)
        self.assertEqual(code, FAILED)
        self.assertRegex(sentence, "^the TPM's key signs what others have made")

    def test_a_key_with_a_password(self):
        handle = self.make_key("-G", "ecc256:ecdsa-sha256:null", "-p", "secret")
        self.assertIsInstance(self.tool.open("sha256", handle), bytes)
        code, sentence = self.tool.quote(bytes(64))
        self.assertEqual(code, FAILED)
        self.assertRegex(sentence, "^the TPM makes no quote: .*it wants a password that attestd does not have")


class Banks(TpmTest):
    guest_options = {"ima": True, "tpm": ("sha384",)}

    def test_a_bank_that_is_not_allocated(self):
        self.assertEqual(self.tool.open("sha256"), (FAILED, "the TPM has no PCR 10 in its bank sha256"))
        self.assertEqual(self.tool.bank(), "sha384")
        name, r = self.tool.open("sha384"), os.urandom(64)
        self.check_quote(self.tool.quote(r), r, name, "sha384")


class Faults(TpmTest):
    def test_a_tpm_that_goes_and_comes_back(self):
        name = self.tool.open()
        self.guest.tpm.gone()
        code, sentence = self.tool.quote(bytes(64))
        self.assertEqual(code, NO_TEE)
        self.assertRegex(sentence, "^there is no TPM: /dev/tpmrm0: ")
        self.guest.tpm.well()
        r = os.urandom(64)
        self.check_quote(self.tool.quote(r), r, name)

    def test_a_tpm_that_is_locked_out(self):
        name = self.tool.open()
        self.guest.tpm.lockout()
        code, sentence = self.tool.quote(bytes(64))
        self.assertEqual(code, FAILED)
        self.assertRegex(sentence, "it is locked out after wrong passwords: wait, or clear its lockout$")
        self.assertEqual(self.tool.open()[0], FAILED)
        self.guest.tpm.well()
        self.assertEqual(self.tool.open(), name)

    def test_a_hierarchy_with_a_password(self):
        self.guest.tpm.refuse(0x9A2)
        code, sentence = self.tool.open()
        self.assertEqual(code, FAILED)
        self.assertRegex(sentence, "^the TPM makes no key: .*it wants a password that attestd does not have")
        self.guest.tpm.refuse(0x185)
        self.assertRegex(self.tool.open()[1], "its endorsement hierarchy is switched off")

    def test_a_report_is_as_good_without_a_quote(self):
        self.tool.open()
        self.guest.tpm.lockout()
        r = os.urandom(64)
        self.tool.say(f"report {r.hex()}")
        self.assertEqual(self.tool.line("report")[2], "ok")
        self.assertEqual(self.tool.result("quote")[0], FAILED)

    def test_another_tpm_in_its_place_is_refused(self):
        self.tool.open()
        tools = {**os.environ, "TPM2TOOLS_TCTI": "device:/dev/tpmrm0"}
        subprocess.run(["tpm2_changeeps", "-Q"], env=tools, check=True)
        self.guest.tpm.gone()
        self.tool.quote(bytes(64))
        self.guest.tpm.well()
        code, sentence = self.tool.quote(bytes(64))
        self.assertEqual(code, FAILED)
        self.assertRegex(sentence, "^the TPM has another key than before")
        self.assertIsInstance(self.tool.open(), bytes)

    def test_sc36_a_tpm_that_hangs_holds_nobody_for_long(self):
        name, other = self.tool.open(), Tool()
        other.open()
        self.guest.tpm.hang()
        other.say(f"quote {bytes(64).hex()}")
        start = time.monotonic()
        self.assertEqual(self.tool.quote(bytes(64))[0], TIMED_OUT)
        took = time.monotonic() - start
        start = time.monotonic()
        self.assertEqual(self.tool.quote(bytes(64))[0], DEVICE_BUSY)
        self.assertLess((time.monotonic() - start) * 20, took)  # as long as it hangs, nobody waits again

        r = os.urandom(64)
        self.tool.say(f"report {r.hex()}")
        self.assertEqual(self.tool.line("report")[2], "ok")
        self.assertEqual(self.tool.result("quote")[0], DEVICE_BUSY)
        self.assertEqual(other.result("quote")[0], TIMED_OUT)
        other.stop()  # does not wait for the TPM either

        self.guest.tpm.well()
        other.close()
        until = time.monotonic() + DEADLINE
        while isinstance(answer := self.tool.quote(r), tuple):
            self.assertLess(time.monotonic(), until, answer)
        self.check_quote(answer, r, name)


class Without(private_guest.GuestTest):
    guest_options = {"ima": True, "rtmr": True}

    def test_no_tpm(self):
        tool = Tool()
        code, sentence = tool.open()
        self.assertEqual(code, NO_TEE)
        self.assertEqual(sentence, "there is no TPM: /dev/tpmrm0: No such file or directory")
        self.assertEqual(tool.bank(), "-")
        tool.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
