// SPDX-License-Identifier: LGPL-2.1-or-later
//! The native mode of docs/protocol.md, section 6: from the hello to the end every
//! byte on the TLS connection is in a frame.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use minicbor::{Decode, Decoder, Encode};

use crate::services::{Attester, Binding, Verifier};
use crate::Options;

const HELLO: u8 = 0;
const REQUEST: u8 = 1;
const AUTHENTICATOR: u8 = 2;
const ACCEPTED: u8 = 3;
const REFUSED: u8 = 4;
const STALE: u8 = 5;
const LOG_REQUEST: u8 = 6;
const LOG_ENTRIES: u8 = 7;
const DATA: u8 = 8;
const END: u8 = 9;

const DATA_MAX: usize = 16 << 10;

/// Limit of a payload; None for what is not received.
fn limit(kind: u8) -> Option<usize> {
    match kind {
        HELLO | ACCEPTED | REFUSED | STALE | LOG_REQUEST => Some(4 << 10),
        REQUEST => Some(16 << 10),
        AUTHENTICATOR => Some(128 << 10),
        DATA => Some(DATA_MAX),
        END => Some(0),
        _ => None,
    }
}

const PROFILE: &str = "tag:attestd.org,2026:evidence/1";
const FORMAT: &str = "application/vnd.veraison.tsm-report+cbor";

/// For what the peer owes us.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Of evidence; then we ask again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Of data that the peer sends while we wait for something else.
const INBOX_MAX: usize = 1 << 20;
/// Of a refusal, in characters; 1024 bytes.
const REASON_MAX: usize = 256;

// minicbor writes maps of a known size, keys in order: deterministic.

#[derive(Encode, Decode)]
#[cbor(map)]
struct Hello {
    #[n(1)]
    version: u32,
    #[n(2)]
    profiles: Vec<String>,
    #[n(3)]
    formats: Vec<String>,
    #[n(4)]
    batch: bool,
    #[n(5)]
    asks: bool,
    #[n(6)]
    gives: bool,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Accepted {
    #[cbor(n(1), with = "minicbor::bytes")]
    context: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RefusedFrame {
    #[cbor(n(1), with = "minicbor::bytes")]
    context: Vec<u8>,
    #[n(2)]
    reason: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Stale {
    #[cbor(n(1), with = "minicbor::bytes")]
    boot_id: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    instance_id: Vec<u8>,
    #[n(3)]
    generation: u64,
    #[n(4)]
    reasons: Vec<String>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct LogRequest {
    #[n(1)]
    log: String,
    #[n(2)]
    from: u64,
}

#[derive(Encode)]
#[cbor(map)]
struct LogEntries {
    #[n(1)]
    log: String,
    #[n(2)]
    first: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    entries: Vec<u8>,
    #[n(4)]
    bank: String,
    #[n(5)]
    more: bool,
    #[n(6)]
    reason: String,
}

fn decode<'a, T: Decode<'a, ()>>(payload: &'a [u8]) -> Result<T> {
    let mut decoder = Decoder::new(payload);
    match decoder.decode() {
        Ok(value) if decoder.position() == payload.len() => Ok(value),
        Ok(_) => Err(Refused::protocol("bytes after a payload")),
        Err(e) => Err(Refused::protocol(e)),
    }
}

/// Why there is no connection: by our verdict, or by the protocol.
#[derive(Debug, Default)]
pub struct Refused {
    /// For the peer: a name of docs/protocol.md section 10, ": ", a sentence. "" if it
    /// is the one who told us, or cannot be told.
    reason: String,
    context: Vec<u8>,
    /// In our own house, of which the peer is not told.
    cause: Option<Box<dyn Error>>,
}

pub type Result<T> = std::result::Result<T, Refused>;

impl Refused {
    fn new(reason: impl Into<String>) -> Self {
        Refused {
            reason: reason.into(),
            ..Default::default()
        }
    }

    fn about(context: &[u8], reason: impl Into<String>) -> Self {
        Refused {
            reason: reason.into(),
            context: context.to_vec(),
            cause: None,
        }
    }

    fn protocol(what: impl fmt::Display) -> Self {
        Refused::new(format!("protocol-error: {what}"))
    }

    fn unavailable(cause: Box<dyn Error>) -> Self {
        let reason = "service-unavailable: a service of this end does not do its part";
        Refused {
            cause: Some(cause),
            ..Refused::new(reason)
        }
    }

    fn silent(what: impl Into<Box<dyn Error>>) -> Self {
        Refused {
            cause: Some(what.into()),
            ..Default::default()
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.cause {
            Some(cause) if self.reason.is_empty() => write!(f, "{cause}"),
            Some(cause) => write!(f, "{} ({cause})", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Refused::new("timed-out: the peer owes an answer"),
            _ => Refused::silent(e),
        }
    }
}

/// Our request that the peer has not answered.
struct Asked {
    context: Vec<u8>,
    at: Instant,
    /// The peer's state has changed since: the answer is none.
    is_void: bool,
}

/// Our newest answer, on which we have no verdict.
struct Answered {
    context: Vec<u8>,
    /// We have told the peer of a change since.
    is_void: bool,
}

/// Reads and writes only while both ends are content with each other's evidence.
pub struct Connection {
    tls: rustls::Connection,
    socket: TcpStream,
    is_server: bool,
    peer: Option<Hello>,
    peer_ended: bool,
    inbox: Vec<u8>,

    // As relying party.
    verifier: Option<Verifier>, // if we ask
    asked: Option<Asked>,
    accepted_at: Option<Instant>, // when evidence was asked for that we have accepted
    has_shown: bool,              // the peer has answered since its last stale
    newest: Option<Stale>,

    // As attester.
    attester: Option<Attester>, // if we give
    held: Option<Vec<u8>>,      // the peer's request, while we do not trust the peer
    answered: Option<Answered>,
    is_trusted: bool, // the peer has accepted our newest answer
    was_trusted: bool,
}

impl Connection {
    /// Makes the handshake and the exchange. After it both ends have said yes.
    pub fn open(tls: rustls::Connection, socket: TcpStream, options: &Options) -> Result<Self> {
        let mut c = Connection {
            tls,
            socket,
            is_server: options.is_server,
            peer: None,
            peer_ended: false,
            inbox: Vec::new(),
            verifier: None,
            asked: None,
            accepted_at: None,
            has_shown: false,
            newest: None,
            attester: None,
            held: None,
            answered: None,
            is_trusted: false,
            was_trusted: false,
        };
        c.socket.set_read_timeout(Some(ANSWER_TIME))?;
        // Before the handshake is complete there is nothing to export.
        while c.tls.is_handshaking() {
            if let Err(e) = c.tls.complete_io(&mut c.socket) {
                return Err(Refused::silent(format!("no TLS handshake: {e}")));
            }
        }
        match c.begin(options) {
            Ok(()) => Ok(c),
            Err(e) => Err(c.fail(e)),
        }
    }

    fn begin(&mut self, options: &Options) -> Result<()> {
        let (us, them) = if self.is_server {
            ("server", "client")
        } else {
            ("client", "server")
        };
        let binding = Binding::new(&self.tls).map_err(Refused::silent)?;
        if let Some(policy) = &options.policy {
            let verifier = Verifier::open(&binding, them, policy, &options.name, &options.anchors);
            self.verifier = Some(verifier.map_err(Refused::unavailable)?);
        }
        if let (true, Some(key)) = (options.gives, &options.signing_key) {
            let attester = Attester::open(&binding, us, &options.certificates, key.clone());
            self.attester = Some(attester.map_err(Refused::unavailable)?);
        }
        self.send_cbor(
            HELLO,
            &Hello {
                version: 1,
                profiles: vec![PROFILE.to_string()],
                formats: vec![FORMAT.to_string()],
                batch: false,
                asks: self.asks(),
                gives: options.gives,
            },
        )?;
        self.wait()
    }

    fn asks(&self) -> bool {
        self.verifier.is_some()
    }

    fn binding(&self) -> Result<Binding<'_>> {
        Binding::new(&self.tls).map_err(Refused::silent)
    }

    /// The gate: our verdict, and the peer's on us.
    fn is_open(&self) -> bool {
        let Some(peer) = &self.peer else { return false };
        (!self.asks() || (self.asked.is_none() && self.accepted_at.is_some())) && (!peer.asks || self.is_trusted)
    }

    /// Tells the peer, if it is not the one who told us.
    fn fail(&mut self, e: Refused) -> Refused {
        if !e.reason.is_empty() {
            let reason = e.reason.chars().take(REASON_MAX).collect();
            let frame = RefusedFrame {
                context: e.context.clone(),
                reason,
            };
            let _ = self.send_cbor(REFUSED, &frame);
            self.tls.send_close_notify();
            let _ = self.flush();
        }
        e
    }

    // Frames

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let mut frame = vec![kind];
        frame.extend((payload.len() as u32).to_be_bytes());
        frame.extend(payload);
        // In pieces: rustls buffers 64 KiB at most until they are written.
        for piece in frame.chunks(DATA_MAX) {
            self.tls.writer().write_all(piece)?;
            self.flush()?;
        }
        Ok(())
    }

    fn send_cbor<T: Encode<()>>(&mut self, kind: u8, value: &T) -> Result<()> {
        let payload = minicbor::to_vec(value).map_err(|e| Refused::silent(e.to_string()))?;
        self.send(kind, &payload)
    }

    fn read(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        let mut have = 0;
        while have < size {
            // One call may read a part of a record only.
            while self.tls.wants_read() && self.tls.complete_io(&mut self.socket)?.0 > 0 {}
            match self.tls.reader().read(&mut bytes[have..])? {
                0 => {
                    return Err(Refused::silent(
                        "the peer closed the connection without the frame \"end\"",
                    ))
                }
                n => have += n,
            }
        }
        Ok(bytes)
    }

    /// The limit is checked before there is room for the payload.
    fn receive(&mut self) -> Result<(u8, Vec<u8>)> {
        let header = self.read(5)?;
        let kind = header[0];
        let size = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        match limit(kind) {
            None => Err(Refused::protocol(format!("a frame of type {kind}"))),
            Some(most) if size > most => Err(Refused::protocol(format!("a frame of type {kind} with {size} bytes"))),
            Some(_) => Ok((kind, self.read(size)?)),
        }
    }

    /// Takes in one frame, and does what it calls for.
    fn step(&mut self) -> Result<()> {
        let (kind, payload) = self.receive()?;
        if self.peer.is_none() != (kind == HELLO) || self.peer_ended {
            return Err(Refused::protocol(format!("a frame of type {kind} now")));
        }
        match kind {
            HELLO => self.on_hello(decode(&payload)?),
            REQUEST => self.on_request(payload),
            AUTHENTICATOR => self.on_authenticator(&payload),
            ACCEPTED => self.on_accepted(decode(&payload)?),
            REFUSED => {
                let refused: RefusedFrame = decode(&payload)?;
                Err(Refused::silent(format!("by the peer: {:?}", refused.reason)))
            }
            STALE => self.on_stale(decode(&payload)?),
            LOG_REQUEST => self.on_log_request(decode(&payload)?),
            DATA => self.on_data(&payload),
            _ => {
                self.peer_ended = true;
                Ok(())
            }
        }
    }

    fn peer_asks(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.asks)
    }

    fn on_hello(&mut self, hello: Hello) -> Result<()> {
        let has = |list: &[String], word: &str| list.iter().any(|entry| entry == word);
        if hello.version < 1 {
            return Err(Refused::protocol("a hello without version"));
        } else if !self.asks() && !hello.asks {
            return Err(Refused::protocol("neither end asks for evidence"));
        } else if hello.asks && self.attester.is_none() {
            return Err(Refused::new("attestation-missing: this end gives no evidence"));
        } else if !has(&hello.profiles, PROFILE) {
            return Err(Refused::new(
                "no-common-profile: the peer does not speak the profile of this end",
            ));
        } else if !has(&hello.formats, FORMAT) {
            return Err(Refused::new(
                "no-common-format: the peer does not speak the evidence format of this end",
            ));
        }
        self.peer = Some(hello);
        // Whatever the peer says that it gives: we ask.
        if self.asks() {
            self.ask()
        } else {
            Ok(())
        }
    }

    // Relying party

    fn ask(&mut self) -> Result<()> {
        let Some(verifier) = &self.verifier else { return Ok(()) };
        let (request, context) = verifier.create_request().map_err(Refused::unavailable)?;
        self.asked = Some(Asked {
            context,
            at: Instant::now(),
            is_void: false,
        });
        self.send(REQUEST, &request)
    }

    fn on_authenticator(&mut self, authenticator: &[u8]) -> Result<()> {
        let (Some(verifier), Some(asked)) = (&self.verifier, self.asked.take()) else {
            return Err(Refused::protocol("an authenticator that nobody asked for"));
        };
        self.has_shown = true;
        if asked.is_void {
            return self.ask();
        }
        let verdict = verifier.validate(&self.binding()?, authenticator, &asked.context);
        let verdict = verdict.map_err(Refused::unavailable)?;
        if !verdict.reason.is_empty() {
            return Err(Refused::about(&asked.context, verdict.reason));
        }
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        if self.newest.as_ref().is_some_and(|stale| {
            hex(&stale.boot_id) == verdict.boot_id
                && hex(&stale.instance_id) == verdict.instance_id
                && verdict.generation < stale.generation
        }) {
            let reason = "evidence-stale: it speaks of an older generation than the peer has told of";
            return Err(Refused::about(&asked.context, reason));
        }
        self.accepted_at = Some(asked.at);
        self.send_cbor(ACCEPTED, &Accepted { context: asked.context })?;
        self.answer_held()
    }

    /// What we know of the peer is over, and nothing goes out until it has shown itself anew.
    fn on_stale(&mut self, stale: Stale) -> Result<()> {
        if !self.has_shown {
            return Err(Refused::protocol("stale without an authenticator before it"));
        }
        self.newest = Some(stale);
        self.has_shown = false;
        self.accepted_at = None;
        match &mut self.asked {
            Some(asked) => asked.is_void = true,
            None => self.ask()?,
        }
        Ok(())
    }

    // Attester

    fn on_request(&mut self, request: Vec<u8>) -> Result<()> {
        if !self.peer_asks() || self.held.is_some() {
            return Err(Refused::protocol("a request now"));
        }
        self.held = Some(request);
        self.answer_held()
    }

    /// A server that asks as well shows itself only to a client that it trusts.
    fn answer_held(&mut self) -> Result<()> {
        if self.is_server && self.asks() && self.accepted_at.is_none() {
            return Ok(());
        }
        let (Some(attester), Some(request)) = (&self.attester, self.held.take()) else {
            return Ok(());
        };
        // CertificateRequest: type, 3 bytes of length, then the context, with its length before it.
        let context = match request.get(4).map(|&size| request.get(5..5 + size as usize)) {
            Some(Some(context)) if !context.is_empty() => context.to_vec(),
            _ => return Err(Refused::new("malformed-request: it has no context")),
        };
        // Else a peer could have us answer, or accept, its echo of our own request.
        if let Some(verifier) = &self.verifier {
            if let Err(e) = verifier.record_context(&context) {
                let refused = Refused::about(&context, "context-reused: it was used on this connection");
                return Err(Refused {
                    cause: Some(e),
                    ..refused
                });
            }
        }
        let binding = self.binding()?;
        let authenticator = match attester.answer(&binding, &request, &context) {
            Ok(authenticator) => authenticator,
            Err(e) => {
                println!("no evidence for the peer: {e}");
                attester.refuse(&binding, &request).map_err(Refused::unavailable)?
            }
        };
        self.answered = Some(Answered {
            context,
            is_void: false,
        });
        self.is_trusted = false;
        self.send(AUTHENTICATOR, &authenticator)
    }

    /// The peer's policy needs a log beside our evidence. docs/any-language.md says how to give one.
    fn on_log_request(&mut self, request: LogRequest) -> Result<()> {
        if self.answered.is_none() || !["ima", "boot", "register"].contains(&request.log.as_str()) {
            return Err(Refused::protocol("a log request now"));
        }
        self.send_cbor(
            LOG_ENTRIES,
            &LogEntries {
                log: request.log,
                first: request.from,
                entries: Vec::new(),
                bank: String::new(),
                more: false,
                reason: "logs are not given".into(),
            },
        )
    }

    fn on_accepted(&mut self, accepted: Accepted) -> Result<()> {
        match self.answered.take() {
            Some(answered) if answered.context == accepted.context => {
                self.is_trusted = !answered.is_void; // if not, it has crossed our stale
                self.was_trusted = true;
                Ok(())
            }
            _ => Err(Refused::protocol(
                "accepted is about another context than our newest answer",
            )),
        }
    }

    /// Tells the peer when our guest has changed since the evidence that it accepted.
    fn check_stale(&mut self) -> Result<()> {
        let Some(attester) = &self.attester else { return Ok(()) };
        if !self.is_trusted || !attester.is_stale() {
            return Ok(());
        }
        let (boot_id, instance_id, generation) = attester.state().map_err(Refused::unavailable)?;
        self.is_trusted = false;
        self.send_cbor(
            STALE,
            &Stale {
                boot_id,
                instance_id,
                generation,
                reasons: Vec::new(),
            },
        )
    }

    // Data

    fn on_data(&mut self, payload: &[u8]) -> Result<()> {
        // The peer's gate is open only if we have accepted it, and it us. Under way, or while
        // we ask again, its data may also rest on what was accepted before.
        if payload.is_empty() || (self.asks() && self.accepted_at.is_none()) || (self.peer_asks() && !self.was_trusted)
        {
            return Err(Refused::protocol("data now"));
        }
        if self.inbox.len() + payload.len() > INBOX_MAX {
            return Err(Refused::protocol("too much data before the peer's answer"));
        }
        self.inbox.extend(payload);
        Ok(())
    }

    /// Takes in frames until the gate is open, for as long as the peer may take to answer.
    fn wait(&mut self) -> Result<()> {
        let started = Instant::now();
        self.socket.set_read_timeout(Some(ANSWER_TIME))?; // of one read only
        while !self.is_open() {
            if self.peer_ended {
                return Err(Refused::silent("the peer has ended"));
            } else if started.elapsed() > ANSWER_TIME {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            self.step()?;
        }
        Ok(self.socket.set_read_timeout(None)?)
    }

    /// Sends data as soon as the gate is open.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        for piece in data.chunks(DATA_MAX) {
            let sent = self.may_write().and_then(|()| self.send(DATA, piece));
            sent.map_err(|e| self.fail(e))?;
        }
        Ok(())
    }

    fn may_write(&mut self) -> Result<()> {
        self.check_stale()?;
        if self.asked.is_none() && self.accepted_at.is_some_and(|at| at.elapsed() > MAX_AGE) {
            self.ask()?;
        }
        self.wait()
    }

    /// Some data; None only when the peer has said that it ends.
    pub fn read_some(&mut self) -> Result<Option<Vec<u8>>> {
        while self.inbox.is_empty() && !self.peer_ended {
            self.step().map_err(|e| self.fail(e))?;
        }
        Ok(Some(std::mem::take(&mut self.inbox)).filter(|data| !data.is_empty()))
    }

    /// Says that this end sends no more, and waits until the peer has said it too.
    pub fn end(&mut self) -> Result<()> {
        self.send(END, &[])?;
        self.tls.send_close_notify();
        self.flush()?;
        while !self.peer_ended {
            self.step()?;
        }
        // To its close_notify: closed over unread bytes, the socket would reset the peer. Nothing
        // that can happen now makes a difference.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.socket.set_read_timeout(Some(ANSWER_TIME))?;
        let _ = io::copy(&mut self.socket, &mut io::sink());
        Ok(())
    }
}
