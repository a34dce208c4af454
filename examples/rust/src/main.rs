// SPDX-License-Identifier: LGPL-2.1-or-later
//! Both ends of an attested TLS 1.3 connection in Rust: rustls, and D-Bus to attestd
//! and attestd-verifier. The client sends a line, the server echoes it.

mod connection;
mod services;

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::Arc;

use connection::Connection;
use rustls::client::Resumption;
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SigningKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

const EXIT_REFUSED: i32 = 1;
const EXIT_USAGE: i32 = 2;
const USAGE: &str = "\
Usage: attested client --connect HOST:PORT --ca FILE --name NAME [OPTIONS]
       attested server --cert FILE --key FILE [OPTIONS]

Sends a line to a server that echoes it, once each end is content with the other's evidence.

  --connect HOST:PORT   client: where the server listens
  --message TEXT        client: the line to send (default \"hello\")
  --port PORT           server: of 127.0.0.1; 0 (default) for any, and it is printed
  --once                server: end after one connection, with its status
  --cert FILE           our certificate and its chain, PEM
  --key FILE            its private key, PEM
  --ca FILE             CAs of the peer's certificate, PEM
  --name NAME           who the peer must be: DNS name or IP address
  --policy-file FILE    ask the peer for evidence, by this policy
  --give                give evidence to a peer that asks, for --cert and --key
  --give-to-anyone      server: also to clients that nobody has authenticated

Exit status: 0 accepted, 1 refused, 2 wrong usage or no connection.
";
const WITH_VALUE: [&str; 8] = [
    "--connect",
    "--message",
    "--port",
    "--cert",
    "--key",
    "--ca",
    "--name",
    "--policy-file",
];
const FLAGS: [&str; 3] = ["--once", "--give", "--give-to-anyone"];

/// Of the command line, and the files that it names.
pub struct Options {
    is_server: bool,
    connect: String,
    message: String,
    port: u16,
    once: bool,
    gives: bool,
    name: String,
    policy: Option<String>,
    anchors: Vec<CertificateDer<'static>>, // empty without --ca
    certificates: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    /// The same key, to sign with outside of the handshake.
    signing_key: Option<Arc<dyn SigningKey>>,
    provider: Arc<CryptoProvider>,
}

fn give_up(what: impl std::fmt::Display) -> ! {
    eprintln!("attested: {what}");
    exit(EXIT_USAGE);
}

fn read_options() -> Options {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut given: HashMap<String, String> = HashMap::new();

    let end = match arguments.next().as_deref() {
        None | Some("--help") | Some("-h") => {
            print!("{USAGE}");
            exit(0);
        }
        Some(end @ ("client" | "server")) => end.to_string(),
        Some(_) => give_up("client or server? see --help"),
    };
    while let Some(option) = arguments.next() {
        if option == "--help" {
            print!("{USAGE}");
            exit(0);
        } else if WITH_VALUE.contains(&option.as_str()) {
            let Some(value) = arguments.next() else {
                give_up(format!("{option} what? see --help"))
            };
            given.insert(option, value);
        } else if FLAGS.contains(&option.as_str()) {
            given.insert(option, String::new());
        } else {
            give_up(format!("{option}? see --help"));
        }
    }

    let has = |option: &str| given.contains_key(option);
    let is_server = end == "server";
    let (asks, anyone) = (has("--policy-file"), has("--give-to-anyone"));
    let gives = has("--give") || anyone;
    if !(is_server || has("--connect") && has("--ca") && has("--name")) {
        give_up("a client needs --connect, --ca and --name");
    } else if has("--cert") != has("--key") || ((is_server || gives) && !has("--cert")) {
        give_up("a server, and who gives evidence, needs --cert and --key");
    } else if asks && !(has("--ca") && has("--name")) {
        give_up("--policy-file needs --ca and --name: evidence says what the peer is, not who");
    } else if !asks && !gives {
        give_up("ask for evidence with --policy-file, give it with --give, or both");
    } else if is_server && !asks && !has("--ca") && !anyone {
        give_up("who may see our evidence? --ca for those with a certificate, or --give-to-anyone");
    }
    load(is_server, gives, &given).unwrap_or_else(|e| give_up(e))
}

fn load(is_server: bool, gives: bool, given: &HashMap<String, String>) -> Result<Options, Box<dyn Error>> {
    let text = |option: &str, default: &str| given.get(option).map_or(default, String::as_str).to_string();
    let certificates = |option: &str| -> Result<Vec<CertificateDer<'static>>, Box<dyn Error>> {
        let Some(path) = given.get(option) else {
            return Ok(Vec::new());
        };
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(format!("{path}: no certificate in it").into()),
            Err(e) => Err(format!("{path}: {e}").into()),
        }
    };
    // X25519, P-256 and P-384, all of them good; the provider aws_lc_rs would also
    // offer X25519MLKEM768, which the protocol does not list.
    let provider = Arc::new(ring::default_provider());
    let key = given.get("--key").map(PrivateKeyDer::from_pem_file).transpose()?;
    let signing_key = key
        .as_ref()
        .map(|key| provider.key_provider.load_private_key(key.clone_key()))
        .transpose()?;

    Ok(Options {
        is_server,
        gives,
        connect: text("--connect", ""),
        message: text("--message", "hello"),
        port: text("--port", "0").parse().map_err(|_| "--port takes a number")?,
        once: given.contains_key("--once"),
        name: text("--name", ""),
        policy: given.get("--policy-file").map(fs::read_to_string).transpose()?,
        anchors: certificates("--ca")?,
        certificates: certificates("--cert")?,
        key,
        signing_key,
        provider,
    })
}

impl Options {
    fn roots(&self) -> Result<Arc<RootCertStore>, Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        for anchor in &self.anchors {
            roots.add(anchor.clone())?;
        }
        Ok(Arc::new(roots))
    }

    fn own(&self) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        self.key
            .as_ref()
            .map(|key| (self.certificates.clone(), key.clone_key()))
    }

    // What attestation demands of TLS, and the certificates. A resumed session was
    // attested on another connection, if at all: there is none.

    fn client_config(&self) -> Result<ClientConfig, Box<dyn Error>> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(self.roots()?);
        let mut config = match self.own() {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn server_config(&self) -> Result<ServerConfig, Box<dyn Error>> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(&[&TLS13])?;
        let builder = if self.anchors.is_empty() {
            builder.with_no_client_auth()
        } else {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.roots()?, self.provider.clone());
            builder.with_client_cert_verifier(verifier.build()?)
        };
        let (chain, key) = self.own().ok_or("a server needs --cert and --key")?;
        let mut config = builder.with_single_cert(chain, key)?;
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

fn talk(socket: TcpStream, tls: rustls::Connection, options: &Options) -> connection::Result<()> {
    let mut c = Connection::open(tls, socket, options)?;
    println!("accepted");
    if options.is_server {
        while let Some(data) = c.read_some()? {
            c.write(&data)?;
        }
    } else {
        let line = format!("{}\n", options.message);
        c.write(line.as_bytes())?;
        let mut have = 0;
        while have < line.len() {
            let Some(data) = c.read_some()? else { break };
            have += data.len();
            let _ = std::io::stdout().write_all(&data);
        }
    }
    c.end()
}

/// Both ends: was it accepted?
fn run(socket: TcpStream, tls: rustls::Connection, options: &Options) -> bool {
    let result = talk(socket, tls, options);
    if let Err(e) = &result {
        println!("refused: {e}");
    }
    result.is_ok()
}

fn client(options: &Options) -> Result<bool, Box<dyn Error>> {
    let name = ServerName::try_from(options.name.clone())?;
    let tls = ClientConnection::new(Arc::new(options.client_config()?), name)?;
    let socket = TcpStream::connect(&options.connect).map_err(|e| format!("{}: {e}", options.connect))?;
    Ok(run(socket, tls.into(), options))
}

fn server(options: Options) -> Result<bool, Box<dyn Error>> {
    let config = Arc::new(options.server_config()?);
    let listener = TcpListener::bind(("127.0.0.1", options.port))?;
    let options = Arc::new(options);
    println!("listening {}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept()?;
        let tls = ServerConnection::new(config.clone())?;
        if options.once {
            return Ok(run(socket, tls.into(), &options));
        }
        let options = options.clone();
        std::thread::spawn(move || run(socket, tls.into(), &options));
    }
}

fn main() {
    let options = read_options();
    let result = if options.is_server {
        server(options)
    } else {
        client(&options)
    };
    match result {
        Ok(true) => (),
        Ok(false) => exit(EXIT_REFUSED),
        Err(e) => give_up(e),
    }
}
