# SPDX-License-Identifier: LGPL-2.1-or-later
"""Our decoders and the second implementation's, over many inputs: what one takes the other takes, and
they read the same."""
import os
import random
import struct
import unittest

import setting
from second import Refused, cbor, describe, messages

SEED = int(os.environ.get("SEED", "20261122"))
LONG = bool(os.environ.get("ATTESTD_TEST_LONG"))
ROUNDS = 60000 if LONG else 3000


def seeds(*names):
    return [setting.vector(n) for n in names]


def payload(name):
    return messages.frames(setting.vector(name))[0][1]


class Differential(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(f"{SEED} {self.id()}")

    def compare(self, lines):
        taken = 0
        for (kind, data), theirs in zip(lines, setting.decode(lines)):
            try:
                ours = describe.KINDS[kind](data)
            except Refused:
                ours = None
            self.assertEqual(ours, theirs, f"seed {SEED}: {kind} {data.hex()}")
            taken += ours is not None
        self.assertGreater(taken, 0, "no input was good: this compares nothing")
        self.assertLess(taken, len(lines), "no input was bad: this compares half")

    def mutate(self, data):
        data = bytearray(data)
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            at = self.random.randrange(len(data) + 1)
            what = self.random.randrange(6)
            if what == 0 and data:
                data[at % len(data)] ^= 1 << self.random.randrange(8)
            elif what == 1 and data:
                data[at % len(data)] = self.random.choice((0, 1, 0x17, 0x18, 0x1b, 0x5f, 0x7f, 0x9f, 0xbf, 0xff,
                                                           self.random.randrange(256)))
            elif what == 2:
                data[at:at] = self.random.randbytes(self.random.choice((1, 1, 2, 9)))
            elif what == 3:
                del data[at:at + self.random.choice((1, 1, 2, 16))]
            elif what == 4:
                end = self.random.randrange(len(data) + 1)
                data[at:at] = data[min(at, end):max(at, end)][:64]
            else:
                del data[at:]
        return bytes(data)

    def rounds(self, kind, good, rounds=ROUNDS):
        self.compare([(kind, g) for g in good] +
                     [(kind, self.mutate(self.random.choice(good))) for _ in range(rounds)])

    def test_claims_bytes(self):
        self.rounds("claims", seeds("claims-minimal.cbor", "claims-unit.cbor", "claims-full.cbor",
                                    "claims-sha384.cbor", "claims-scope.cbor", "claims-rtmr.cbor",
                                    "claims-ima-state.cbor"))

    def value(self, depth=0):
        r = self.random
        kind = r.randrange(11 if depth < 3 else 8)
        if kind == 0:
            return r.choice((0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1))
        if kind == 1:
            return -1 - r.choice((0, 15, 42, 77999, 78003, 2**63 - 1, 2**63, 2**64 - 1))
        if kind in (2, 3):
            return r.randbytes(r.choice((0, 1, 16, 20, 32, 34, 48, 64)))
        if kind in (4, 5):
            return r.choice(("", "x", "system", "user", "sha256", "sha384", "claimed", "rtmr", "garbled", messages.EVIDENCE,
                             "payroll.service", "a\nb", "a\0b", "ä", "\u202e", "\ue000", "\u0378", "x" * 256,
                             "x" * 257))
        if kind == 6:
            return r.choice((True, False, None))
        if kind == 7:
            return [r.choice((-16, -43, -44)), r.randbytes(r.choice((32, 48)))]
        if kind == 8:
            return [self.value(depth + 1) for _ in range(r.randrange(4))]
        if kind == 9:
            return cbor.Tag(r.choice((0, 1, 5, 6, 18, 20, 21, 601)), self.value(depth + 1))
        return {self.key(): self.value(depth + 1) for _ in range(r.randrange(4))}

    def key(self):
        return self.random.choice(("uid", "gids", "peer", "unit", "x", "", 0, 1, 23, 24, 2**64 - 1, -1, -78000, b"", b"x",
                                   True, None))

    def paths(self, item, path=()):
        """All places in a tree."""
        yield path
        inner = item.value if isinstance(item, cbor.Tag) else item
        if isinstance(inner, dict):
            for key in inner:
                yield from self.paths(inner[key], path + (key,))
        elif isinstance(inner, list):
            for i, value in enumerate(inner):
                yield from self.paths(value, path + (i,))

    def replaced(self, item, path, value):
        if not path:
            return value
        if isinstance(item, cbor.Tag):
            return cbor.Tag(item.number, self.replaced(item.value, path, value))
        inner = dict(item) if isinstance(item, dict) else list(item)
        inner[path[0]] = self.replaced(item[path[0]], path[1:], value)
        return inner

    def added(self, item, path, key, value):
        """Into the map at that place."""
        if isinstance(item, cbor.Tag):
            return cbor.Tag(item.number, self.added(item.value, path, key, value))
        if path:
            inner = dict(item) if isinstance(item, dict) else list(item)
            inner[path[0]] = self.added(item[path[0]], path[1:], key, value)
            return inner
        return {**item, key: value} if isinstance(item, dict) else item

    def removed(self, item, path):
        if isinstance(item, cbor.Tag):
            return cbor.Tag(item.number, self.removed(item.value, path))
        inner = dict(item) if isinstance(item, dict) else list(item)
        if len(path) == 1:
            del inner[path[0]]
        else:
            inner[path[0]] = self.removed(item[path[0]], path[1:])
        return inner

    def changed(self, item):
        """One thing of a tree changed; it stays deterministic, so that the meaning is what is tested."""
        path = self.random.choice(list(self.paths(item)))
        what = self.random.randrange(4)
        if what == 0 and path:
            return self.removed(item, path)
        if what == 1:
            return self.added(item, path, self.random.choice(("uid", "exe", "x", 7, -1, 266, "root")), self.value())
        return self.replaced(item, path, self.value()) if path or self.random.random() < .1 else item

    def structured(self, kind, good, rounds=ROUNDS):
        trees = [cbor.load(g) for g in good]
        lines = [(kind, g) for g in good]
        for _ in range(rounds):
            tree = self.random.choice(trees)
            for _ in range(self.random.choice((1, 1, 2))):
                tree = self.changed(tree)
            lines.append((kind, cbor.dump(tree)))
        self.compare(lines)

    def test_claims_structure(self):
        self.structured("claims", seeds("claims-minimal.cbor", "claims-unit.cbor", "claims-full.cbor",
                                        "claims-sha384.cbor", "claims-rtmr.cbor", "claims-ima-state.cbor"))

    def test_evidence(self):
        good = []
        for name in "evidence.cbor", "evidence-expat-pad.cbor":
            tree = cbor.load(setting.vector(name))
            report = cbor.load(tree["tee"][1])
            report["outblob"] = report["outblob"][:40]  # short ones, so that changes hit more than the quote
            tree["tee"][1] = cbor.dump(report)
            good.append(cbor.dump(tree))
        tree = cbor.load(good[0])
        tree["endorsements-left-out"] = ["text/plain;charset=utf-8", b"endorsements", 2]
        good.append(cbor.dump(tree))
        self.rounds("evidence", good)
        self.structured("evidence", good)

    def test_proofs(self):
        good = seeds("proof.cbor", "proof-next.cbor")
        for n in 2, 3, 24, 256, 1 << 17:
            for index in 0, n // 2, n - 1:
                good.append(cbor.dump([n, index, [self.random.randbytes(32)] * messages.path_length(n, index)]))
        self.rounds("proof", good)
        # Every small shape: n, index and length of the path.
        self.compare([("proof", cbor.dump([n, index, [bytes(32)] * length]))
                      for n in range(12) for index in range(n + 2) for length in range(6)])

    def test_reports(self):
        good = seeds("tsm-report.cbor", "tsm-report-svsm.cbor")
        self.rounds("tsm-report", good)
        self.structured("tsm-report", good)

    def test_reports_in_json(self):
        good = [b'{"provider":"tdx_guest","outblob":"AAEC"}',
                b'{"outblob":"_-8","provider":"sev_guest","auxblob":"AA","service_provider":"svsm","manifestblob":"AAAA"}',
                b'{ "provider" : "tdx_guest",\n"outblob":"AAEC" }\n']
        bad = [b'{"provider":"tdx_guest","outblob":"AAEC=="}', b'{"provider":"tdx_guest","outblob":"AAF"}',
               b'{"provider":"tdx_guest","outblob":""}', b'{"provider":"tdx_guest","outblob":"AA","outblob":"AA"}',
               b' {"provider":"tdx_guest","outblob":"AAEC"}', b'{"provider":"tdx_guest","outblob":"AAEC"}x',
               b'{"provider":"tdx\\u0000guest","outblob":"AAEC"}', b'["provider"]']
        self.compare([("tsm-report-json", g) for g in good + bad])

    def test_frames(self):
        for kind in "hello", "accepted", "refused", "stale", "log-request", "log-entries":
            good = [payload(f"frame-{kind}.bin")]
            self.rounds(kind, good, ROUNDS // 3)
            self.structured(kind, good, ROUNDS // 3)

    def test_frame_headers(self):
        lines = [("frame-header", struct.pack(">BI", kind, size)) for kind in range(12)
                 for size in (0, 1, 4096, 4097, 16384, 16385, 131072, 131073, 1 << 20, (1 << 20) + 1, 2**32 - 1)]
        self.compare(lines)

    def test_requests(self):
        self.rounds("request", seeds("request-client.bin", "request-server.bin"))

    def test_authenticators(self):
        data = setting.vector("authenticator.bin")
        evidence = setting.vector("evidence.cbor")
        size = len(evidence) - 8
        # The same with eight bytes in place of the evidence, so that changes hit the framing.
        at = data.index(evidence)
        short = bytearray(data.replace(evidence, b"evidence"))
        for where, width in ((1, 3), (4 + 1 + 32, 3)):
            short[where:where + width] = (int.from_bytes(short[where:where + width], "big") - size).to_bytes(width, "big")
        for where in (at - 2, at - 4 - 2 + 2, at - 8):
            short[where:where + 2] = (int.from_bytes(short[where:where + 2], "big") - size).to_bytes(2, "big")
        self.rounds("authenticator", [bytes(short), setting.vector("authenticator-empty.bin")])

    def test_quotes(self):
        blobs = seeds("quote-unit.bin", "quote-sha384.bin", "quote-full.bin")
        lines = [("quote", b) for b in blobs]
        for _ in range(ROUNDS // 6):
            blob = bytearray(self.random.choice(blobs))
            # The bytes that say how to read it: header, sizes, certification data.
            at = self.random.choice((*range(12), *range(48, 54), *range(630, 640), *range(636 + 128, 636 + 134),
                                     *range(1212, 1300)))
            blob[at] = self.random.choice((0, 1, 2, 3, 4, 5, 6, 7, 0x48, 0x88, 0xff, self.random.randrange(256)))
            lines.append(("quote", bytes(blob)))
        lines += [("quote", blobs[0][:n]) for n in range(0, len(blobs[0]), 61)]
        self.compare(lines)

    def test_policies(self):
        good = [p.read_bytes() for p in sorted(setting.VECTORS.glob("*.policy"))
                if p.name not in ("empty.policy", "no-workload.policy", "unit-without-boot.policy", "unit-bare.policy")]
        self.rounds("policy", good)
        words = [b"attestd-policy", b"1", b"2", b"tee", b"tdx", b"profile", b"evidence/1", b"cocos", b"peer", b"any",
                 b"workload", b"unit", b"a.service", b"a.timer", b".service", b"uid", b"0", b"01", b"4294967295",
                 b"boot", b"mrtd=" + b"0" * 96, b"rtmr0=" + b"F" * 96, b"mrseam=00", b"collateral", b"not-required",
                 b"root", b"intel", b"0" * 64, b"machine", b"ppid", b"a" * 32, b"max-age", b"3600", b"3601",
                 b"shared-device", b"allowed", b"bare-report", b"attributes", b"migratable", b"service-td", b"#", b"#x",
                 b"x#y", "ä".encode(), b"\xff", b"\r"]
        lines = [("policy", g) for g in good]
        for _ in range(ROUNDS):
            all_lines = [b"attestd-policy 1", b"tee tdx", self.random.choice((b"workload any", b""))]
            for _ in range(self.random.randrange(4)):
                rule = [self.random.choice(words) for _ in range(self.random.randrange(5))]
                all_lines.insert(self.random.randrange(len(all_lines) + 1), self.random.choice((b" ", b"\t", b"  "))
                                 .join(rule))
            lines.append(("policy", b"\n".join(all_lines)))
        self.compare(lines)


if __name__ == "__main__":
    unittest.main()
