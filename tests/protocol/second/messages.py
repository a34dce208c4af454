# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/attestd.cddl describes: claims, carriage, frames."""
import base64
import json
import unicodedata
from dataclasses import dataclass, field
from typing import Optional

from . import Refused, cbor, need

EVIDENCE = "tag:attestd.org,2026:evidence/1"
EXPAT_PAD = "tag:attestd.org,2026:expat-pad/1"
COCOS = "tag:attestd.org,2026:cocos/1"
CLAIMS_TYPE = f'application/eat-ucs+cbor; eat_profile="{EVIDENCE}"'
TSM_CBOR = "application/vnd.veraison.tsm-report+cbor"
TSM_JSON = "application/vnd.veraison.tsm-report+json"
HASHES = {-16: ("sha256", 32), -43: ("sha384", 48)}
BANKS = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


def is_uint(x, bits=64):
    return isinstance(x, int) and not isinstance(x, bool) and 0 <= x < 1 << bits


def is_int(x):
    return isinstance(x, int) and not isinstance(x, bool) and -(1 << 63) <= x < 1 << 63


def is_bytes(x, low, high=None):
    return isinstance(x, bytes) and low <= len(x) <= (low if high is None else high)


def is_printable(text):
    return all(unicodedata.category(c) not in ("Cc", "Cf", "Cn", "Cs") for c in text)


def is_text(x, high=256):
    return isinstance(x, str) and is_printable(x) and 1 <= len(x.encode()) <= high


def is_tag_map(item, number):
    return isinstance(item, cbor.Tag) and item.number == number and isinstance(item.value, dict)


@dataclass
class Claims:
    hash: str
    binding: bytes
    key_hash: bytes
    issued_at: int
    role: int
    boot_id: bytes
    instance_id: bytes
    generation: int
    config_digest: bytes
    shared_device: bool = False
    caller: Optional[dict] = None
    ima: Optional[dict] = None
    ima_state: Optional[str] = None
    boot_digest: Optional[bytes] = None


def is_sha256(x):
    return isinstance(x, list) and len(x) == 2 and is_int(x[0]) and x[0] == -16 and is_bytes(x[1], 32)


def is_digest(x, more=0):
    return isinstance(x, bytes) and len(x) - more in BANKS.values()


def part(value, must, may, name):
    """The entries of a map that are known; others are skipped."""
    need(isinstance(value, dict) and value, f"{name} is not a map")
    for key, ok in must.items():
        need(key in value and ok(value[key]), f"{name}: {key}")
    for key, ok in may.items():
        need(key not in value or ok(value[key]), f"{name}: {key}")
    return {k: v for k, v in value.items() if k in must or k in may}


def caller(value):
    need(isinstance(value, dict) and value, "caller is not a map")
    got = {}
    if "peer" in value:
        got["peer"] = part(value["peer"], {}, {
            "uid": lambda v: is_uint(v, 32),
            "gids": lambda v: isinstance(v, list) and len(v) <= 64 and all(is_uint(g, 32) for g in v)
                              and all(a < b for a, b in zip(v, v[1:])),
            "label": is_text,
        }, "peer")
    if "unit" in value:
        got["unit"] = part(value["unit"], {
            "kind": lambda v: v in ("system", "user", "scope", "container"),
            "name": is_text,
        }, {"invocation": lambda v: is_bytes(v, 16)}, "unit")
    if "observed" in value:
        got["observed"] = part(value["observed"], {"exe": is_sha256}, {}, "observed")
    return got


def ima(value):
    got = part(value, {
        "root": lambda v: v in ("tpm-in-tee", "tpm-outside", "rtmr", "claimed"),
        "bank": lambda v: isinstance(v, str) and v in BANKS,
        "count": is_uint,
        "violations": is_uint,
        "aggregate": is_digest,
    }, {"boot_aggregate": is_digest, "ak": lambda v: is_digest(v, 2), "register": lambda v: is_uint(v, 2)}, "ima")
    need(len(got["aggregate"]) == BANKS[got["bank"]], "the aggregate is not of its bank")
    need(("register" in got) == (got["root"] == "rtmr"), "a register, and it is not the root, or the reverse")
    need(got["root"] != "rtmr" or got["bank"] == "sha384", "an RTMR has another bank")
    return got


def claims(data):
    need(len(data) <= 8192, "claims too large")
    item = cbor.load(data)
    need(is_tag_map(item, 601), "not tag 601 with a map")
    c = item.value
    need(c.get(265) == EVIDENCE, "eat_profile")

    aik = c.get(-78000)
    need(isinstance(aik, list) and len(aik) == 2 and is_int(aik[0]) and aik[0] in HASHES, "AIK_pub_hash")
    name, size = HASHES[aik[0]]
    need(is_bytes(aik[1], size), "AIK_pub_hash: size")
    need(is_bytes(c.get(10), size), "eat_nonce")
    need(is_int(c.get(6)), "iat")
    need(is_uint(c.get(-78001), 1), "role")
    state = c.get(-78002)
    need(isinstance(state, list) and len(state) == 3 and is_bytes(state[0], 16) and is_bytes(state[1], 16)
         and is_uint(state[2]), "state")
    need(is_bytes(c.get(-78003), 32), "configuration")
    need(-78004 not in c or c[-78004] is True, "shared device")

    got = Claims(name, c[10], aik[1], c[6], c[-78001], state[0], state[1], state[2], c[-78003],
                 shared_device=-78004 in c)
    if 266 in c:
        submods = c[266]
        need(isinstance(submods, dict) and submods and all(isinstance(k, str) for k in submods), "submods")
        if "caller" in submods:
            got.caller = caller(submods["caller"])
        if "ima" in submods:
            got.ima = ima(submods["ima"])
        if "ima-state" in submods:
            got.ima_state = part(submods["ima-state"], {
                "state": lambda v: v in ("garbled", "unreadable", "history-lost"),
            }, {}, "ima-state")["state"]
            need(got.ima is None, "a log, and a state that says that there is none")
        if "boot" in submods:
            got.boot_digest = part(submods["boot"], {"digest": is_sha256}, {}, "boot")["digest"][1]
    return got


@dataclass
class TsmReport:
    provider: str
    outblob: bytes
    auxblob: Optional[bytes] = None
    service_provider: Optional[str] = None
    manifestblob: Optional[bytes] = None


def unbase64url(text):
    need(isinstance(text, str) and text and all(c.isascii() and (c.isalnum() or c in "-_") for c in text),
         "not base64url without padding")
    need(len(text) % 4 != 1, "not base64url")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text, "stray bits in base64url")
    return raw


def no_duplicates(pairs):
    need(len({k for k, _ in pairs}) == len(pairs), "a key twice")
    return dict(pairs)


def load_json(data):
    need(data[:1] in (b"{", b"["), "white space, or something else, before JSON")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=no_duplicates)
    except (UnicodeDecodeError, ValueError, RecursionError) as e:
        raise Refused(f"not JSON: {e}") from None


def tsm_report(media_type, data):
    if media_type == TSM_JSON:
        m = load_json(data)
        need(isinstance(m, dict), "not an object")
        for key in ("outblob", "auxblob", "manifestblob"):
            if key in m:
                m[key] = unbase64url(m[key])
    else:
        need(media_type == TSM_CBOR, "not a tsm-report")
        m = cbor.load(data, deterministic=False)
        need(isinstance(m, dict), "not a map")
    need(set(m) <= {"provider", "outblob", "auxblob", "service_provider", "manifestblob"}, "an unknown key")
    for key in "provider", "outblob":
        need(key in m, f"no {key}")
    for key, value in m.items():
        need(is_text(value, 64) if key.endswith("provider") else is_bytes(value, key == "outblob", 1 << 20), key)
    need("manifestblob" not in m or "service_provider" in m, "manifestblob without service_provider")
    return TsmReport(**{k: v for k, v in m.items() if v})  # an empty blob counts as absent


# Label: media type and indicator, the only form that each member has.
MEMBERS = {
    "claims": (CLAIMS_TYPE, 4),
    "tee": (TSM_CBOR, 4),
    "proof": ("application/vnd.attestd.inclusion-proof+cbor", 4),
    "tpm": ("application/vnd.attestd.tpm-quote+cbor", 4),
    "endorsements": ("application/vnd.attestd.endorsements+cbor", 2),
    "endorsements-left-out": ("text/plain;charset=utf-8", 2),
}
CLAIMS_ONLY = {"claims", "proof", "tpm"}


@dataclass
class Evidence:
    profile: str
    claims: Optional[bytes]
    tee: TsmReport
    proof: Optional[bytes] = None
    tpm: Optional[bytes] = None
    endorsements: Optional[bytes] = None
    left_out: bool = False


def evidence(data):
    m = cbor.load(data, deterministic=False)
    need(isinstance(m, dict), "not a collection")
    profile = m.pop("__cmwc_t", None)
    need(profile in (EVIDENCE, EXPAT_PAD, COCOS), "an unknown profile")
    need(set(m) <= set(MEMBERS), "an unknown member")
    values = {}
    for label, item in m.items():
        media_type, indicator = MEMBERS[label]
        need(isinstance(item, list) and len(item) == 3 and item[0] == media_type and is_bytes(item[1], 1, 1 << 20)
             and is_int(item[2]) and item[2] == indicator, f"{label} is not as it should be")
        values[label] = item[1]
    need("tee" in values, "no tee")
    need("claims" in values if profile == EVIDENCE else not CLAIMS_ONLY & set(values), "claims, or none")
    left_out = values.get("endorsements-left-out")
    need(left_out in (None, b"endorsements") and not {"endorsements", "endorsements-left-out"} <= set(values),
         "left out")
    return Evidence(profile, values.get("claims"), tsm_report(TSM_CBOR, values["tee"]), values.get("proof"),
                    values.get("tpm"), values.get("endorsements"), left_out is not None)


@dataclass
class Proof:
    n: int
    index: int
    path: list


def path_length(n, index):
    """RFC 9162 section 2.1.3.1"""
    if n == 1:
        return 0
    k = 1 << (n - 1).bit_length() - 1  # the largest power of two smaller than n
    return 1 + (path_length(k, index) if index < k else path_length(n - k, index - k))


def proof(data):
    m = cbor.load(data)
    need(isinstance(m, list) and len(m) == 3 and is_uint(m[0]) and is_uint(m[1]) and isinstance(m[2], list),
         "not a proof")
    n, index, path = m
    need(2 <= n <= 1 << 17, "n out of its range")
    need(index < n, "index out of its range")
    need(len(path) == path_length(n, index), "a path of another length")
    need(all(is_bytes(node, 32, 32) for node in path), "a node of another size")
    return Proof(n, index, path)


FRAMES = ("hello", "request", "authenticator", "accepted", "refused", "stale", "log-request", "log-entries", "data",
          "end")
LIMITS = (4096, 16 << 10, 128 << 10, 4096, 4096, 4096, 4096, 1 << 20, 16 << 10, 0)


def frame_header(data):
    """-> type, size"""
    need(len(data) == 5, "a frame ends inside its header")
    kind, size = data[0], int.from_bytes(data[1:5], "big")
    need(kind < len(FRAMES), "an unknown frame")
    need(size <= LIMITS[kind], "a frame over its limit")
    return kind, size


def frames(data):
    """-> list of (name, payload)"""
    got = []
    while data:
        kind, size = frame_header(data[:5])
        need(len(data) >= 5 + size, "a frame ends inside its payload")
        got.append((FRAMES[kind], data[5:5 + size]))
        data = data[5 + size:]
    return got


def closed_map(data, keys):
    m = cbor.load(data)
    need(isinstance(m, dict) and set(m) == set(keys), "not this map")
    return [m[k] for k in keys]


def texts(value):
    need(isinstance(value, list) and len(value) <= 16 and all(is_text(t, 255) for t in value), "texts")
    return value


@dataclass
class Hello:
    version: int
    profiles: list = field(default_factory=list)
    formats: list = field(default_factory=list)
    batch: bool = False
    asks: bool = False
    gives: bool = False


def hello(data):
    m = cbor.load(data)
    need(isinstance(m, dict) and all(is_uint(k) for k in m) and set(range(1, 7)) <= set(m), "not a hello")
    version, profiles, formats, batch, asks, gives = (m[k] for k in range(1, 7))
    need(is_uint(version) and version > 0, "version")
    need(all(isinstance(b, bool) for b in (batch, asks, gives)), "a flag")
    return Hello(version, texts(profiles), texts(formats), batch, asks, gives)


def accepted(data):
    [context] = closed_map(data, [1])
    need(is_bytes(context, 1, 255), "context")
    return context


def refused(data):
    context, reason = closed_map(data, [1, 2])
    need(is_bytes(context, 0, 255), "context")
    need(is_text(reason, 1024), "reason")
    return context, reason


def stale(data):
    boot, instance, generation, reasons = closed_map(data, range(1, 5))
    need(is_bytes(boot, 16) and is_bytes(instance, 16) and is_uint(generation), "state")
    return boot, instance, generation, texts(reasons)


def log_request(data):
    log, start = closed_map(data, [1, 2])
    need(log in ("ima", "boot", "register") and is_uint(start), "log")
    return log, start


def log_entries(data):
    """-> log, first, entries, bank, more, reason or None"""
    m = cbor.load(data)
    need(isinstance(m, dict) and set(m) in (set(range(1, 6)), set(range(1, 7))), "not log entries")
    log, first, entries, bank, more = (m[k] for k in range(1, 6))
    reason = m.get(6)
    need(log in ("ima", "boot", "register") and is_uint(first), "log")
    need(is_bytes(entries, 0, (1 << 20) - 64) and isinstance(bank, str) and isinstance(more, bool), "entries")
    need(6 not in m or (is_text(reason, 255) and not entries and not more), "reason")
    need(entries or not more, "nothing, and more to come")
    banks = {"ima": ("sha1", "sha256", "sha384", "sha512"), "boot": ("",), "register": ("sha384",)}[log]
    need(bank in (banks if reason is None else ("",)), "bank")
    return log, first, entries, bank, more, reason
