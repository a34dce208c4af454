// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the two services are asked about one TLS connection. Everything that TLS
//! has to give for it is here too: three exporter values and one signature.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use dbus::arg::{prop_cast, AppendAll, PropMap, ReadAll, RefArg, Variant};
use dbus::blocking::stdintf::org_freedesktop_dbus::Properties;
use dbus::blocking::Connection as Bus;
use dbus::Path;
use rustls::pki_types::CertificateDer;
use rustls::sign::SigningKey;
use rustls::{CipherSuite, HandshakeKind, SignatureScheme};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn dict<const N: usize>(entries: [(&str, Box<dyn RefArg>); N]) -> PropMap {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_string(), Variant(value)))
        .collect()
}

/// What evidence is bound to: the secrets of one TLS connection.
pub struct Binding<'a> {
    tls: &'a rustls::Connection,
}

impl<'a> Binding<'a> {
    pub fn new(tls: &'a rustls::Connection) -> Result<Self> {
        // rustls makes a connection that may be resumed unless it is told not to.
        if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
            return Err("resumed-session: a resumed session was never attested".into());
        }
        Ok(Binding { tls })
    }

    /// Name and size of the hash of the cipher suite.
    fn hash(&self) -> (&'static str, usize) {
        match self.tls.negotiated_cipher_suite().map(|suite| suite.suite()) {
            Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => ("sha384", 48),
            _ => ("sha256", 32),
        }
    }

    /// What evidence for the context covers. Always 32 bytes, whatever the hash; and
    /// the label has no prefix "EXPORTER-".
    fn exported(&self, context: &[u8]) -> Result<Vec<u8>> {
        Ok(self
            .tls
            .export_keying_material(vec![0; 32], b"Attestation", Some(context))?)
    }

    /// The keys of RFC 9261 for the authenticator that the end `sender` sends. Their
    /// context is empty. For TLS 1.3 None is the same (not so for TLS 1.2).
    fn keys(&self, sender: &str) -> Result<PropMap> {
        let value = |what: &str| -> Result<Box<dyn RefArg>> {
            let label = format!("EXPORTER-{sender} authenticator {what}");
            Ok(Box::new(self.tls.export_keying_material(
                vec![0; self.hash().1],
                label.as_bytes(),
                Some(b""),
            )?))
        };
        Ok(dict([
            ("handshake_context", value("handshake context")?),
            ("finished_key", value("finished key")?),
        ]))
    }
}

/// A session of one of the services. It ends with its connection to the bus.
struct Session {
    bus: Bus,
    service: &'static str,
    object: &'static str,
    path: Path<'static>,
}

/// Above the time that attestd takes for a report, 20 s at most by default.
const CALL_TIME: Duration = Duration::from_secs(60);

impl Session {
    fn open(service: &'static str, object: &'static str, parameters: PropMap) -> Result<Self> {
        let bus = Bus::new_system()?;
        let (path,) = bus
            .with_proxy(service, object, CALL_TIME)
            .method_call(service, "OpenSession", (parameters,))?;
        Ok(Session {
            bus,
            service,
            object,
            path,
        })
    }

    fn call<R: ReadAll, A: AppendAll>(&self, method: &str, arguments: A) -> std::result::Result<R, dbus::Error> {
        let interface = format!("{}.Session", self.service);
        self.bus
            .with_proxy(self.service, &self.path, CALL_TIME)
            .method_call(interface, method, arguments)
    }
}

/// Judges the peer's evidence.
pub struct Verifier {
    session: Session,
    peer: &'static str,
}

/// "" or why not, and of which state of the guest the evidence speaks.
#[derive(Default)]
pub struct Verdict {
    pub reason: String,
    pub boot_id: String,
    pub instance_id: String,
    pub generation: u64,
}

impl Verifier {
    /// The peer has a name: the authenticator's leaf has to chain to the anchors for it.
    pub fn open(
        binding: &Binding,
        peer: &'static str,
        policy: &str,
        name: &str,
        anchors: &[CertificateDer],
    ) -> Result<Self> {
        let anchors: Vec<Vec<u8>> = anchors.iter().map(|der| der.to_vec()).collect();
        let parameters = dict([
            ("role", Box::new(peer.to_string())),
            ("hash", Box::new(binding.hash().0.to_string())),
            ("policy_text", Box::new(policy.to_string())),
            ("peer_name", Box::new(name.to_string())),
            ("trust_anchors", Box::new(anchors)),
        ]);
        let session = Session::open("org.attestd.Verifier1", "/org/attestd/Verifier1", parameters)?;
        Ok(Verifier { session, peer })
    }

    /// Request and context.
    pub fn create_request(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        Ok(self.session.call("CreateRequest", (PropMap::new(),))?)
    }

    /// Has to be told of each context that the peer has sent, before we answer it.
    pub fn record_context(&self, context: &[u8]) -> Result<()> {
        Ok(self.session.call("RecordContext", (context,))?)
    }

    pub fn validate(&self, binding: &Binding, authenticator: &[u8], context: &[u8]) -> Result<Verdict> {
        let arguments = (authenticator, binding.exported(context)?, binding.keys(self.peer)?);
        let (accepted, result): (bool, PropMap) = self.session.call("Validate", arguments)?;
        let text = |key| prop_cast::<String>(&result, key).cloned().unwrap_or_default();
        let mut verdict = Verdict {
            reason: text("reason"),
            boot_id: text("boot_id"),
            instance_id: text("instance_id"),
            generation: prop_cast(&result, "generation").copied().unwrap_or_default(),
        };
        if !accepted && verdict.reason.is_empty() {
            verdict.reason = "refused".to_string();
        }
        Ok(verdict)
    }
}

/// Gives evidence of this guest.
pub struct Attester {
    session: Session,
    role: &'static str,
    certificates: Vec<Vec<u8>>,
    key: Arc<dyn SigningKey>,
}

impl Attester {
    pub fn open(
        binding: &Binding,
        role: &'static str,
        certificates: &[CertificateDer],
        key: Arc<dyn SigningKey>,
    ) -> Result<Self> {
        let parameters = dict([
            ("role", Box::new(role.to_string())),
            ("hash", Box::new(binding.hash().0.to_string())),
        ]);
        let session = Session::open("org.attestd.Attester1", "/org/attestd/Attester1", parameters)?;
        let certificates = certificates.iter().map(|der| der.to_vec()).collect();
        Ok(Attester {
            session,
            role,
            certificates,
            key,
        })
    }

    /// The authenticator, with evidence in it, for a request with this context.
    pub fn answer(&self, binding: &Binding, request: &[u8], context: &[u8]) -> Result<Vec<u8>> {
        let (handle, scheme, to_be_signed): (u64, u16, Vec<u8>) = self.session.call(
            "BeginAuthenticator",
            (
                request,
                binding.exported(context)?,
                self.certificates.clone(),
                binding.keys(self.role)?,
            ),
        )?;
        self.finish(handle, self.sign(scheme, &to_be_signed, binding.hash().1)?)
    }

    /// The empty authenticator: that we give nothing, said by this very connection.
    pub fn refuse(&self, binding: &Binding, request: &[u8]) -> Result<Vec<u8>> {
        let mut options = binding.keys(self.role)?;
        options.insert("decline".to_string(), Variant(Box::new(true)));
        let (handle, _, _): (u64, u16, Vec<u8>) = self.session.call(
            "BeginAuthenticator",
            (request, Vec::<u8>::new(), Vec::<Vec<u8>>::new(), options),
        )?;
        self.finish(handle, Vec::new())
    }

    fn finish(&self, handle: u64, signature: Vec<u8>) -> Result<Vec<u8>> {
        let (authenticator,) = self.session.call("FinishAuthenticator", (handle, signature))?;
        Ok(authenticator)
    }

    /// A signature of TLS 1.3, but only one for an authenticator: with the key of a TLS
    /// server, whoever may choose what is signed can be the server.
    fn sign(&self, scheme: u16, to_be_signed: &[u8], hash_size: usize) -> Result<Vec<u8>> {
        let prefix = [&[0x20; 64], b"Exported Authenticator\0".as_slice()].concat();
        if !to_be_signed.starts_with(&prefix) || to_be_signed.len() != prefix.len() + hash_size {
            return Err("attestd wants something signed that is no authenticator".into());
        }
        // rustls signs by the names that TLS has for it: the scheme says hash, padding and encoding.
        let signer = self.key.choose_scheme(&[SignatureScheme::from(scheme)]);
        let signer = signer.ok_or_else(|| format!("attestd wants a signature by scheme {scheme:04x}"))?;
        Ok(signer.sign(to_be_signed)?)
    }

    /// Has the guest changed since the newest evidence of this session? To lose attestd is a change too.
    /// A program with many connections hears the signal Stale instead of asking.
    pub fn is_stale(&self) -> bool {
        let s = &self.session;
        let proxy = s.bus.with_proxy(s.service, &s.path, CALL_TIME);
        proxy.get(&format!("{}.Session", s.service), "Stale").unwrap_or(true)
    }

    /// Boot id, instance id and generation of now.
    pub fn state(&self) -> Result<(Vec<u8>, Vec<u8>, u64)> {
        let s = &self.session;
        let proxy = s.bus.with_proxy(s.service, s.object, CALL_TIME);
        let id = |name| -> Result<Vec<u8>> {
            let text: String = proxy.get(s.service, name)?;
            let id = u128::from_str_radix(&text, 16)?;
            Ok(id.to_be_bytes().to_vec())
        };
        Ok((id("BootId")?, id("InstanceId")?, proxy.get(s.service, "Generation")?))
    }
}
