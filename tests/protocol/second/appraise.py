# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verification, in the order of docs/protocol.md."""
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Optional, Union

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from . import Refused, handshake, logs, messages, need, policy as policies, quote as quotes, snp

ORDER = ("policy", "authenticator", "context", "freshness", "peer-name", "format", "profile", "claims", "binding",
         "key-hash", "role", "report-data", "quote-format", "tee", "qe-vendor", "quote-signature",
         "qe-report-signature", "qe-binding", "qe-identity", "pck-chain", "vek-chain", "vek-identity", "vek-tcb",
         "validity", "debug", "vmpl", "attributes", "machine", "boot", "workload", "state", "ima-root", "ima-log",
         "ima", "boot-log", "collateral", "tcb-minimum", "tcb-status", "revocation")


@dataclass
class Expected:
    """What the relying party knows itself."""
    at: int
    policy: bytes
    report_data: Optional[bytes] = None
    hash: Optional[str] = None
    binding: Optional[bytes] = None
    role: Optional[int] = None
    key_hash: Optional[bytes] = None  # with a connection
    profile: Optional[str] = None     # the one asked for
    batch: bool = False               # the batch form was offered
    extra_pem: bytes = b""
    beside: logs.Logs = field(default_factory=logs.Logs)


@dataclass
class Result:
    checks: dict = field(default_factory=dict)
    claims: Optional[messages.Claims] = None
    quote: Union[quotes.Quote, snp.Report, None] = None
    signed: Optional[bytes] = None  # R

    @property
    def failed(self):
        return next((name for name in ORDER if self.checks.get(name, (True, ""))[0] is False), None)

    @property
    def accepted(self):
        return bool(self.checks) and self.failed is None

    def check(self, name, act, *args):
        """Runs one check; -> what it gave, None if it failed"""
        assert name in ORDER
        try:
            got = act(*args)
        except (Refused, ValueError, x509.InvalidVersion, UnsupportedAlgorithm,
                KeyError) as why:  # cryptography's answer to a name of an unknown string type
            self.checks[name] = (False, str(why))
            return None
        self.checks.setdefault(name, (True, ""))
        return got


def equal(a, b, why):
    need(a is not None and b is not None and len(a) == len(b) and hmac.compare_digest(a, b), why)
    return True


def root(claims, proof):
    """RFC 9162 section 2.1.1, from the leaf upwards: by the shape of the tree, as the path is defined"""
    def over(n, index, path):
        if n == 1:
            return hashlib.sha256(b"\0" + claims).digest()
        k = 1 << (n - 1).bit_length() - 1
        if index < k:
            return hashlib.sha256(b"\1" + over(k, index, path[:-1]) + path[-1]).digest()
        return hashlib.sha256(b"\1" + path[-1] + over(n - k, index - k, path[:-1])).digest()
    return over(proof.n, proof.index, proof.path)


def report_data(profile, claims, hash_name, binding, proof=None):
    if proof is not None:
        return hashlib.sha512(b"attestd batch/1\0" + proof.n.to_bytes(8, "big") + root(claims, proof)).digest()
    if profile == messages.EVIDENCE:
        return hashlib.sha512(b"attestd evidence/1\0" + claims).digest()
    if profile == messages.EXPAT_PAD:
        return binding.ljust(64, b"\0")
    return hashlib.sha512(binding).digest()


@dataclass
class Opened:
    blob: bytes
    is_snp: bool
    profile: Optional[str] = None
    claims: Optional[bytes] = None
    report: Optional[messages.TsmReport] = None
    tpm: Optional[bytes] = None
    proof: Optional[bytes] = None


def is_snp(report):
    return report.provider == "sev_guest" or report.provider != "tdx_guest" and snp.looks_like(report.outblob)


def open_evidence(data):
    if len(data) > 1 and data[0] <= 15 and data[1] == 0:
        return Opened(data, snp.looks_like(data))
    if data[:4] == b"HCLA":
        return Opened(snp.unwrap(data), True)
    try:
        report = messages.tsm_report(messages.TSM_CBOR, data)
        return Opened(report.outblob, is_snp(report), report=report)
    except Refused:
        pass
    got = messages.evidence(data)
    return Opened(got.tee.outblob, is_snp(got.tee), got.profile, got.claims, got.tee, got.tpm, got.proof)


def appraise(data, expected):
    r = Result()
    policy = r.check("policy", policies.parse, expected.policy)
    opened = r.check("format", open_evidence, data)
    if policy is None or opened is None:
        return r
    profile, raw = opened.profile, opened.claims

    if profile is not None:
        r.check("profile", lambda: need(profile in policy.profiles and expected.profile in (None, profile),
                                        "not the profile asked for"))
    elif not policy.bare_report:
        r.check("profile", lambda: need(False, "a bare report"))
    if raw is not None:
        r.claims = r.check("claims", messages.claims, raw)
        if r.claims is None:
            return r
    check_binding(r, expected, profile, raw)
    r.quote = r.check("quote-format", (snp if opened.is_snp else quotes).parse, opened.blob)
    if opened.report is not None:
        r.check("tee", check_provider, opened.report, opened.is_snp, r.quote)
    if r.quote is None:
        return r
    proof = r.check("report-data", read_proof, opened.proof, expected)
    if "report-data" not in r.checks or r.checks["report-data"][0]:
        check_report_data(r, expected, profile, raw, manifest_of(opened.report), proof)
        r.signed = None if raw is None else report_data(profile, raw, None, None, proof)
    r.check("tee", lambda: need(("snp" if opened.is_snp else "tdx") in policy.tees, "tee"))
    if opened.is_snp:
        check_report(r, policy, expected, opened.report.auxblob if opened.report else None)
    else:
        check_quote(r, policy, expected)
    check_policy(r, policy, profile)
    logs.check(r, policy, opened, expected.beside)
    return r


def check_provider(report, of_snp, quote):
    need(report.provider == ("sev_guest" if of_snp else "tdx_guest"), "the provider")
    if report.service_provider is not None or report.manifestblob is not None:
        need(of_snp and manifest_of(report) is not None, "a service provider")
        need(quote is None or quote.body["vmpl"] == 0, "the VMPL of an SVSM")


def manifest_of(report):
    return report.manifestblob if report is not None and report.service_provider == "svsm" else None


def check_binding(r, expected, profile, raw):
    if expected.binding is None or raw is None:
        return
    c = r.claims
    r.check("binding", lambda: need(c.hash == expected.hash, "another hash") or
            equal(c.binding, expected.binding, "of another connection, context or key"))
    if expected.key_hash is not None:
        r.check("key-hash", equal, c.key_hash, expected.key_hash, "another key")
    r.check("role", lambda: need(c.role == expected.role, "of the other end"))


def read_proof(data, expected):
    need(data is None or expected.batch, "batch was not offered")
    return None if data is None else messages.proof(data)


def check_report_data(r, expected, profile, raw, manifest, proof):
    found = r.quote.body["report_data"]

    def signed(computed):
        return computed if manifest is None else hashlib.sha512(computed + manifest).digest()

    if raw is not None:
        computed = signed(report_data(profile, raw, r.claims.hash, None, proof))
        r.check("report-data", equal, found, computed, "R does not follow from the claims")
        if expected.binding is None:
            r.check("report-data", equal, found, expected.report_data, "not what was expected, or unbound")
    elif profile is not None and expected.binding is not None:
        computed = signed(report_data(profile, None, expected.hash, expected.binding))
        r.check("report-data", equal, found, computed, "REPORTDATA does not follow from the binding")
    else:
        r.check("report-data", equal, found, expected.report_data, "not what was expected, or unbound")


def check_quote(r, policy, expected):
    q = r.quote
    attributes = int.from_bytes(q.body["td_attributes"], "little")
    r.check("debug", lambda: need(not attributes & 1, "debug"))
    r.check("attributes", check_attributes, policy, attributes, q.body)
    r.check("qe-vendor", equal, q.vendor, quotes.INTEL_VENDOR, "not Intel's")
    r.check("quote-signature", lambda: quotes.verify_raw(quotes.p256(q.key), q.signature, q.signed))
    chain = r.check("pck-chain", lambda: quotes.order(
        quotes.certificates(q.pem) if q.pem else [],
        quotes.certificates(expected.extra_pem) if expected.extra_pem else []))
    if chain:
        r.check("pck-chain", quotes.verify_chain, chain, policy.roots)
        r.check("validity", lambda: need(not quotes.not_in(chain, expected.at), "a certificate is not valid"))
        r.check("machine", lambda: need(not names_machines(policy) or
                                        quotes.ppid(quotes.sgx_extension(chain[0])) in policy.ppids, "another machine"))
    if q.qe_report is None:
        r.check("qe-report-signature", lambda: need(False, "no QE report"))
        return
    if chain:
        r.check("qe-report-signature", lambda: quotes.verify_raw(
            handshake.public_key(chain[0]), q.qe_signature, q.qe_report))
    r.check("qe-binding", equal, q.qe_report[320:384],
            hashlib.sha256(q.key + q.auth_data).digest().ljust(64, b"\0"), "the QE does not vouch for the key")
    r.check("qe-identity", lambda: need(
        q.qe_report[128:160] == quotes.INTEL_QE_SIGNER and q.qe_report[256:258] == b"\2\0"
        and not q.qe_report[48] & 2, "not the TD QE"))


def names_machines(policy):
    return policy.ppids or policy.chip_ids or policy.csp_ids


def check_report(r, policy, expected, table):
    report, body = r.quote, r.quote.body
    r.check("debug", lambda: need(not body["policy"] >> 19 & 1, "debug"))
    r.check("vmpl", lambda: need(body["vmpl"] in policy.vmpls, "vmpl"))
    r.check("attributes", snp.check_attributes, report, policy)
    pool = r.check("vek-chain", lambda: (snp.table(table) if table else []) +
                   (snp.either(expected.extra_pem) if expected.extra_pem else []))
    key = r.check("vek-chain", snp.find, pool, report) if pool is not None else None
    line = report.line if report.version >= 3 else key and key.line
    r.check("tcb-minimum", snp.check_minimum, report, line, policy)
    if key is None:
        return
    found = r.check("vek-chain", snp.chain, pool, key, policy.snp_roots)
    if found is not None:
        chain, why = found
        r.check("vek-chain", lambda: need(why is None, why))
        r.check("validity", lambda: need(not quotes.not_in(chain, expected.at), "a certificate is not valid"))
    r.check("vek-identity", snp.check_identity, report, key, policy)
    r.check("vek-tcb", lambda: need(snp.tcb(body["reported_tcb"], key.line) == key.tcb, "another TCB"))
    r.check("quote-signature", snp.verify_signature, report, key)
    r.check("machine", lambda: need(not names_machines(policy) or body["chip_id"] in policy.chip_ids or
                                    key.csp_id in policy.csp_ids, "another machine"))


def check_attributes(policy, attributes, body):
    need(not any(body["seam_attributes"]) and not any(body["mr_signer_seam"]), "not Intel's TDX module for production")
    need(not attributes & ~sum(1 << bit for bit in (0, 28, 29, 30, 63)), "reserved bits")
    need(attributes >> 28 & 1 or "sept-ve-disable-off" in policy.attributes, "SEPT_VE_DISABLE is off")
    need(not attributes >> 29 & 1 or "migratable" in policy.attributes, "migratable")
    need(not any(body.get("mr_service_td", b"")) or "service-td" in policy.attributes, "a service TD")


def check_policy(r, policy, profile):
    body, claims = r.quote.body, r.claims
    r.check("boot", lambda: need(not policy.boots or any(
        all(body.get(name) == value for name, value in boot.items()) for boot in policy.boots), "another boot"))
    r.check("workload", lambda: need(policy.workload_any or claims is not None and
                                     any(runs(claims, *w) for w in policy.workloads), "another workload"))
    r.check("state", lambda: need(claims is None or not claims.shared_device or policy.shared_device,
                                  "a shared device"))
    r.check("collateral", lambda: need(not policy.collateral, "there is no collateral"))


def runs(claims, unit, uid):
    caller = claims.caller or {}
    got = caller.get("unit", {})
    return (got.get("kind") == "system" and got.get("name") == unit and
            (uid is None or caller.get("peer", {}).get("uid") == uid))


@dataclass
class Connection:
    """One TLS connection of a relying party, that has asked once."""
    hash: str
    handshake_context: bytes
    finished_key: bytes
    exported: bytes
    role: int
    request: bytes
    peer_key: Optional[bytes] = None  # SPKI of the handshake's leaf, validated for the name


def appraise_authenticator(data, connection, expected):
    identity = None
    r = Result()
    policy = r.check("policy", policies.parse, expected.policy)
    identity = r.check("authenticator", handshake.validate, connection.hash, connection.handshake_context,
                       connection.finished_key, connection.request, data)
    if policy is None or identity is None:
        return r
    r.check("peer-name", lambda: need(policy.peer_any or connection.peer_key == identity.spki, "not the peer named"))
    r.check("format", lambda: need(identity.cmw is not None, "no evidence"))
    if identity.cmw is None:
        return r
    expected.hash, expected.role = connection.hash, connection.role
    expected.binding = handshake.binding(connection.hash, identity.spki, connection.exported)
    expected.key_hash = hashlib.new(connection.hash, identity.spki).digest()
    inner = appraise(identity.cmw, expected)
    r.claims, r.quote = inner.claims, inner.quote
    for name, outcome in inner.checks.items():
        r.checks.setdefault(name, outcome)
    return r
