# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was read, as the JSON that attestctl and decode-lines print."""
import datetime

from . import handshake, messages, policy, quote


def hexes(value):
    return None if value is None else value.hex()


def when(seconds):
    """RFC 3339 while the calendar of GLib lasts, then the number."""
    if not -62135596800 <= seconds <= 253402300799:
        return str(seconds)
    t = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return f"{t.year}-{t:%m-%dT%H:%M:%SZ}" if t.year > 999 else f"{t.year:04d}-{t:%m-%dT%H:%M:%SZ}"


def number(n):
    return n if n < 1 << 63 else str(n)


def claims(data):
    c = messages.claims(data)
    got = {
        "hash": c.hash, "binding": c.binding.hex(), "key_hash": c.key_hash.hex(), "issued_at": when(c.issued_at),
        "role": ("client", "server")[c.role], "boot_id": c.boot_id.hex(), "instance_id": c.instance_id.hex(),
        "generation": number(c.generation), "config_digest": c.config_digest.hex(),
        "shared_device": c.shared_device,
    }
    if c.caller is not None:
        got["caller"] = caller(c.caller)
    if c.ima is not None:
        got["ima"] = {k: v.hex() if isinstance(v, bytes) else number(v) if isinstance(v, int) else v
                      for k, v in c.ima.items()}
        if "ak" in c.ima:
            got["ima"]["ak_name"] = got["ima"].pop("ak")
    if c.ima_state is not None:
        got["ima_state"] = c.ima_state
    if c.boot_digest is not None:
        got["boot_digest"] = c.boot_digest.hex()
    return got


def caller(c):
    got = dict(c.get("peer", {}))
    unit = c.get("unit", {})
    for name, key in (("kind", "unit_kind"), ("name", "unit")):
        if name in unit:
            got[key] = unit[name]
    if "invocation" in unit:
        got["invocation"] = unit["invocation"].hex()
    if "observed" in c:
        got["exe_digest"] = c["observed"]["exe"][1].hex()
    return got


def report(r):
    return {"provider": r.provider, "outblob": r.outblob.hex(), "auxblob": hexes(r.auxblob),
            "service_provider": r.service_provider, "manifestblob": hexes(r.manifestblob)}


def evidence(data):
    e = messages.evidence(data)
    return {"profile": e.profile, "claims": hexes(e.claims), "tee": report(e.tee), "proof": hexes(e.proof),
            "tpm": hexes(e.tpm), "endorsements": hexes(e.endorsements), "left_out": e.left_out}


def proof(data):
    p = messages.proof(data)
    return {"n": p.n, "index": p.index, "path": [node.hex() for node in p.path]}


def hello(data):
    h = messages.hello(data)
    return {"version": str(h.version), "profiles": h.profiles, "formats": h.formats, "batch": h.batch,
            "asks": h.asks, "gives": h.gives}


def refused(data):
    context, reason = messages.refused(data)
    return {"context": context.hex(), "reason": reason}


def stale(data):
    boot, instance, generation, reasons = messages.stale(data)
    return {"boot_id": boot.hex(), "instance_id": instance.hex(), "generation": str(generation), "reasons": reasons}


def log_request(data):
    log, start = messages.log_request(data)
    return {"log": log, "from": str(start)}


def log_entries(data):
    log, first, entries, bank, more, reason = messages.log_entries(data)
    return {"log": log, "first": str(first), "entries": entries.hex(), "bank": bank, "more": more, "reason": reason}


def frame_header(data):
    kind, size = messages.frame_header(data)
    return {"type": kind, "size": str(size)}


def extensions(exts):
    return {f"{kind:04x}": data.hex() for kind, data in exts.items()}


def request(data):
    r = handshake.request(data)
    return {"type": r.kind, "context": r.context.hex(), "extensions": extensions(r.extensions), "schemes": r.schemes}


def authenticator(data):
    a = handshake.authenticator(data, 32)
    if a is None:
        return {"verify_data": data[4:].hex()}
    return {"context": a.context.hex(),
            "entries": [{"der": der.hex(), "extensions": extensions(exts)} for der, exts in a.entries],
            "scheme": a.scheme, "signature": a.signature.hex(), "verify_data": a.verify_data.hex()}


def tdx_quote(data):
    q = quote.parse(data)
    return {"version": q.version, "report_data": q.body["report_data"].hex(), "mr_td": q.body["mr_td"].hex(),
            "signed": q.signed.hex(), "signature": q.signature.hex(), "type": q.certification_type,
            "inner_type": q.inner_type, "qe_report": (q.qe_report or b"").hex(), "auth_data": q.auth_data.hex(),
            "certificates": q.pem.hex()}


KINDS = {
    "claims": claims,
    "evidence": evidence,
    "proof": proof,
    "tsm-report": lambda data: report(messages.tsm_report(messages.TSM_CBOR, data)),
    "tsm-report-json": lambda data: report(messages.tsm_report(messages.TSM_JSON, data)),
    "frame-header": frame_header,
    "hello": hello,
    "accepted": lambda data: {"context": messages.accepted(data).hex()},
    "refused": refused,
    "stale": stale,
    "log-request": log_request,
    "log-entries": log_entries,
    "request": request,
    "authenticator": authenticator,
    "quote": tdx_quote,
    "policy": lambda data: bool(policy.parse(data)),
}
