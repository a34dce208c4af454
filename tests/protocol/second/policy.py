# SPDX-License-Identifier: LGPL-2.1-or-later
"""The policy grammar of docs/protocol.md."""
import base64
import re
import unicodedata
from dataclasses import dataclass, field

from . import Refused, logs, messages, need, snp
from .quote import INTEL_ROOT

PROFILES = {"evidence/1": messages.EVIDENCE, "expat-pad": messages.EXPAT_PAD, "cocos": messages.COCOS}
REGISTERS = {"mrtd": "mr_td", "rtmr0": "rtmr0", "rtmr1": "rtmr1", "rtmr2": "rtmr2", "rtmr3": "rtmr3",
             "mrconfigid": "mr_config_id", "mrowner": "mr_owner", "mrownerconfig": "mr_owner_config",
             "mrseam": "mr_seam"}
FIELDS = {"measurement": 48, "host-data": 32, "id-key-digest": 48, "author-key-digest": 48, "family-id": 16,
          "image-id": 16}  # of a report; their names there have "_" for "-"
ONCE = ("peer", "collateral", "max-age", "shared-device", "bare-report", "boot-log")
IMA_ROOTS = ("tpm-in-tee", "tpm-outside", "rtmr", "claimed")
DIGESTS = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
ATTRIBUTES = ("sept-ve-disable-off", "migratable", "service-td", "migration-agent", "masked-chip-id", "cxl")
PLATFORM = ("smt-off", "tsme", "ecc", "rapl-disabled", "ciphertext-hiding", "alias-check")


@dataclass
class Policy:
    profiles: list = field(default_factory=list)
    tees: set = field(default_factory=set)
    peer_any: bool = False
    workload_any: bool = False
    workloads: list = field(default_factory=list)  # of (unit, uid or None)
    boots: list = field(default_factory=list)      # of {name in the quote or report: value}
    collateral: bool = True
    roots: set = field(default_factory=set)
    snp_roots: set = field(default_factory=set)
    ppids: set = field(default_factory=set)
    chip_ids: set = field(default_factory=set)
    csp_ids: set = field(default_factory=set)
    vmpls: set = field(default_factory=set)
    platform: set = field(default_factory=set)
    minimum: dict = field(default_factory=dict)    # of product line: {part: least}
    max_age: int = 60
    shared_device: bool = False
    attributes: set = field(default_factory=set)
    bare_report: bool = False
    ima: bool = False
    ima_roots: set = field(default_factory=set)
    ima_rtmrs: set = field(default_factory=set)
    ima_allow: dict = field(default_factory=dict)  # of path: [(algorithm, digest)]
    ima_exclude: list = field(default_factory=list)
    ima_keys: list = field(default_factory=list)
    ima_require: list = field(default_factory=list)
    ima_max_violations: int = None
    boot_log: bool = False
    boot_events: list = field(default_factory=list)  # of (number, algorithm, digest)


def unhex(text, size):
    need(re.fullmatch(r"[0-9A-Fa-f]*", text) and len(text) == 2 * size, f"not {size} bytes in hexadecimal")
    return bytes.fromhex(text)


def number(text, low, high):
    need(re.fullmatch(r"0|[1-9][0-9]{0,9}", text) and low <= int(text) <= high, "not a number in range")
    return int(text)


def rule(p, words):
    key, values = words[0], words[1:]
    if key == "profile":
        need(len(values) == 1 and values[0] in PROFILES, "profile")
        p.profiles.append(PROFILES[values[0]])
    elif key == "tee":
        need(len(values) == 1 and values[0] in ("tdx", "snp"), "tee")
        p.tees.add(values[0])
    elif key == "peer":
        need(values == ["any"], "peer")
        p.peer_any = True
    elif key == "workload":
        workload(p, values)
    elif key == "boot":
        boot(p, values)
    elif key == "collateral":
        need(values == ["not-required"], "collateral")
        p.collateral = False
    elif key == "root":
        root(p, values)
    elif key == "machine":
        machine(p, values)
    elif key == "vmpl":
        need(len(values) == 1, "vmpl")
        p.vmpls.add(number(values[0], 0, 3))
    elif key == "platform":
        need(len(values) == 2 and values[0] == "snp" and values[1] in PLATFORM, "platform")
        p.platform.add(values[1])
    elif key == "tcb":
        minimum(p, values)
    elif key == "max-age":
        need(len(values) == 1, "max-age")
        p.max_age = number(values[0], 1, 3600)
    elif key == "shared-device":
        need(values == ["allowed"], "shared-device")
        p.shared_device = True
    elif key == "attributes":
        need(len(values) == 1 and values[0] in ATTRIBUTES, "attributes")
        p.attributes.add(values[0])
    elif key == "ima":
        ima(p, values)
    elif key == "boot-log":
        need(values == ["required"], "boot-log")
        p.boot_log = True
    elif key == "boot-event":
        need(len(values) == 2, "boot-event")
        p.boot_events.append((number(values[0], 0, 23), *digest(values[1])))
        p.boot_log = True
    elif key == "bare-report":
        need(values == ["allowed"], "bare-report")
        p.bare_report = True
    else:
        raise Refused(f"an unknown key: {key}")


def digest(text):
    name, _, value = text.partition(":")
    need(name in DIGESTS, "a digest")
    return name, unhex(value, DIGESTS[name])


def ima(p, values):
    p.ima = True
    if values[:2] == ["root", "rtmr"]:
        p.ima_rtmrs.add(number(values.pop(), 0, 3) if len(values) == 3 else 3)
    need(len(values) == (3 if values[:1] == ["allow"] else 2), "ima")
    kind, value = values[0], values[1]
    if kind == "root":
        need(value in IMA_ROOTS, "a root")
        p.ima_roots.add(value)
    elif kind == "allow":
        p.ima_allow.setdefault(values[2].encode(), []).append(digest(value))
    elif kind == "exclude":
        p.ima_exclude.append(value.encode())
        need(len(p.ima_exclude) <= 256, "too many beginnings")
    elif kind == "key":
        der = base64.b64decode(value, validate=True)
        need(der and base64.b64encode(der).decode() == value, "not the one encoding")
        p.ima_keys.append(logs.file_key(der))
        need(len(p.ima_keys) <= 16, "too many keys")
    elif kind == "require":
        p.ima_require.append(value.encode())
    else:
        need(kind == "max-violations" and p.ima_max_violations is None, "ima")
        p.ima_max_violations = number(value, 0, 10**9)


def workload(p, values):
    if values == ["any"]:
        need(not p.workloads, "any beside a name")
        p.workload_any = True
        return
    need(len(values) in (2, 4) and values[0] == "unit" and not p.workload_any, "workload")
    need(re.fullmatch(r"[A-Za-z0-9:_.\\@-]+\.service", values[1]) and len(values[1]) <= 255, "unit")
    uid = None
    if len(values) == 4:
        need(values[2] == "uid", "uid")
        uid = number(values[3], 0, 2**32 - 2)
    p.workloads.append((values[1], uid))


def boot(p, values):
    got = {}
    for value in values:
        name, equals, digest = value.partition("=")
        need(equals and (name in REGISTERS or name in FIELDS), "a register")
        place = REGISTERS.get(name) or name.replace("-", "_")
        need(place not in got, "a register twice")
        got[place] = unhex(digest, FIELDS.get(name, 48))
    of_tdx = set(got) & set(REGISTERS.values())
    need(not of_tdx or len(of_tdx) == len(got), "registers of both TEEs")
    need("mr_td" in got or "measurement" in got, "boot without mrtd or measurement")
    p.boots.append(got)


def root(p, values):
    need(len(values) == 2 and values[0] in ("tdx", "snp"), "root")
    tee, name = values
    if tee == "tdx":
        p.roots.add(INTEL_ROOT if name == "intel" else unhex(name, 32))
    elif name == "amd":
        p.snp_roots.update(snp.ROOTS.values())
    else:
        p.snp_roots.add(snp.ROOTS[name] if name in snp.ROOTS else unhex(name, 32))


def machine(p, values):
    need(len(values) == 2 and values[0] in ("ppid", "chip-id", "csp-id"), "machine")
    kind, name = values
    if kind == "ppid":
        p.ppids.add(unhex(name, 16))
    elif kind == "chip-id":
        chip = unhex(name, 8 if len(name) == 16 else 64).ljust(64, b"\0")
        need(any(chip), "a masked chip id")
        p.chip_ids.add(chip)
    else:
        need(len(name.encode()) <= 127, "csp-id")
        p.csp_ids.add(name)


def minimum(p, values):
    need(len(values) > 1 and values[0] in snp.ROOTS and values[0] not in p.minimum, "tcb")
    got = {}
    for value in values[1:]:
        part, sign, least = value.partition(">=")
        need(sign and part in snp.PARTS.get(values[0], snp.OLD_PARTS) and part not in got, "a part of the TCB")
        got[part] = number(least, 0, 255)
    p.minimum[values[0]] = got


def lines(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    for line in text.split("\n"):
        need(all(c == "\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cn", "Cs") for c in line),
             "a character that does not print")
        line = re.sub(r"(^|[ \t])#.*", "", line)
        words = [w for w in re.split(r"[ \t]+", line) if w]
        need(len(words) <= 16, "too many words")
        if words:
            yield words


def parse(data):
    need(len(data) <= 4 << 20, "too large")
    all_lines = list(lines(data))
    need(all_lines and all_lines[0] == ["attestd-policy", "1"], "no version line")
    need(len(all_lines) <= 32769, "too many rules")
    p = Policy()
    seen = set()
    for words in all_lines[1:]:
        rule(p, words)
        need(tuple(words) not in seen, "a rule twice")
        seen.add(tuple(words))
    for key in ONCE:
        need(sum(words[0] == key for words in seen) <= 1, f"{key} twice")
    need(p.tees, "no tee")
    need(p.workloads or p.workload_any, "no workload")
    need(not p.workloads or p.boots, "a workload without a boot rule")
    need(not p.workloads or set(p.profiles) <= {messages.EVIDENCE}, "a workload with a profile that has no caller")
    need(not p.workloads or not p.bare_report, "a workload with bare reports, that have no caller")
    need(not p.ima or p.ima_roots, "nothing vouches for the log")
    need(not p.ima_roots or p.boots, "a rule of the IMA log, without a boot rule")
    p.profiles = p.profiles or [messages.EVIDENCE]
    p.roots = p.roots or {INTEL_ROOT}
    p.snp_roots = p.snp_roots or set(snp.ROOTS.values())
    p.vmpls = p.vmpls or {0}
    return p
