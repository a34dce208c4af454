#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The CBOR of the Python example against a whole decoder, and against bytes of strangers."""

import pathlib
import random
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "python"))
import cbor  # noqa: E402
import cbor2  # noqa: E402

SEED = 9261
NUMBERS = 0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1


def value(rng, depth=3):
    kind = rng.randrange(7 if depth else 4)
    if kind == 0:
        return rng.choice([*NUMBERS, rng.randrange(2**64)])
    if kind == 1:
        return rng.randbytes(rng.choice([0, 1, 23, 24, 300]))
    if kind == 2:
        return "".join(rng.choice("aé字") for _ in range(rng.choice([0, 3, 30])))
    if kind == 3:
        return rng.random() < 0.5
    if kind < 6:
        return [value(rng, depth - 1) for _ in range(rng.randrange(30))]
    return {rng.choice([rng.randrange(1000), str(rng.random())]): value(rng, depth - 1)
            for _ in range(rng.randrange(30))}


class Cbor(unittest.TestCase):
    def test_what_it_writes_another_decoder_reads(self):
        rng = random.Random(SEED)
        for _ in range(1000):
            v = value(rng)
            encoded = cbor.encode(v)
            self.assertEqual(cbor2.loads(encoded), v)
            self.assertEqual(cbor2.dumps(v, canonical=True) if not isinstance(v, (dict, list)) else encoded, encoded)
            self.assertEqual(cbor.decode(encoded), v)
            for n in range(min(len(encoded), 40)):
                with self.assertRaises(ValueError):
                    cbor.decode(encoded[:n])

    def test_refuses_another_encoding_and_other_types(self):
        for text in ("1801", "a201010102", "a202010101", "9f01ff", "f6", "f93c00", "20", "c100", "a18001", "61ff", "00ff", "1c",
                     "", "5bffffffffffffffff", "9bffffffffffffffff", "bbffffffffffffffff", "81" * 4000, "a1" * 4000):
            with self.subTest(text[:20]), self.assertRaises(ValueError):
                cbor.decode(bytes.fromhex(text))

    def test_bytes_of_strangers_raise_nothing_else(self):
        rng = random.Random(SEED)
        base = cbor.encode({1: 1, 2: ["a"], 3: [b"b"], 4: False, 5: {6: True}})
        for i in range(20000):
            data = bytearray(base if i % 2 else rng.randbytes(rng.randrange(1, 40)))
            for _ in range(rng.randrange(3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                self.assertEqual(cbor.encode(cbor.decode(bytes(data))), data)
            except ValueError:
                pass


if __name__ == "__main__":
    unittest.main()
