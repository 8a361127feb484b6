//! Who the servers over TLS are, by `--cert PEM --key PEM`, or else `localhost` by their own word.

use usockets::tls::{
    Config, Crypto, HandshakeFailure, Identity, IdentityError, Machine, ObserveHandshakes,
    ServerConfig, TicketKeys,
};
use usockets_linux::KeyFiles;

#[path = "roots.rs"]
mod roots;

/// What the arguments ask for, and the arguments that are not about TLS.
#[derive(Default)]
pub(crate) struct Options {
    /// Whether `--tls` is among them.
    #[allow(dead_code, reason = "for servers that can do without")]
    pub(crate) tls: bool,
    /// Whether `--help` is among them.
    #[allow(dead_code, reason = "for servers that have no help")]
    pub(crate) help: bool,
    certs: Vec<String>,
    keys: Vec<String>,
    /// The secret of the tickets, which stays when files are read again.
    tickets: Option<&'static TicketKeys>,
    /// The others.
    pub(crate) rest: Vec<String>,
}

impl Options {
    /// Reads arguments as [`Self::take`] does, of a server that has no other options.
    ///
    /// # Errors
    /// An option lacks its value, or is none.
    #[allow(dead_code, reason = "for servers without other options")]
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let options = Self::take(arguments)?;
        let mut rest = options.rest.iter();
        match rest.find(|argument| argument.starts_with('-')) {
            Some(other) => Err(format!("{other}: no option")),
            None => Ok(options),
        }
    }

    /// Takes what is about TLS from arguments, and leaves the rest; `--cert` and `--key` may be
    /// there several times.
    ///
    /// # Errors
    /// An option lacks its value.
    pub(crate) fn take(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a file"));
            match argument.as_str() {
                "--tls" => options.tls = true,
                "--help" | "-h" => options.help = true,
                "--cert" => options.certs.push(value()?),
                "--key" => options.keys.push(value()?),
                _ => options.rest.push(argument),
            }
        }
        if options.certs.len() != options.keys.len() {
            return Err("each --cert goes with a --key".to_owned());
        }
        Ok(options)
    }

    /// Makes the configuration of a server that lives as long as the program: an identity for each
    /// `--cert` and `--key`, chosen by the names in its certificate (SNI), the first for others.
    ///
    /// Without a certificate, one is made for `localhost` and `names`, and written to
    /// `localhost.pem`. What is read stays in memory for ever, also when it is read again.
    ///
    /// # Errors
    /// Which of the files cannot be used and why, be it that clients would refuse it.
    pub(crate) fn config<C: Crypto>(
        &mut self,
        names: &[String],
        protocols: &'static [&'static [u8]],
        crypto: &mut C,
    ) -> Result<&'static Config<'static>, Box<dyn core::error::Error>> {
        let mut identities = Vec::new();
        if self.certs.is_empty() {
            identities.push(leak(self_signed(names)?));
        }
        for (cert, key) in self.certs.iter().zip(&self.keys) {
            let identity = leak(KeyFiles::read(cert, key)?);
            let checked = identity.check(crypto, &[]);
            checked.map_err(|error| format!("{cert} with {key}: {error}"))?;
            warn_of_gap(&identity, cert, crypto);
            identities.push(identity);
        }
        let tickets = match self.tickets {
            Some(tickets) => tickets,
            None => {
                let mut secret = [0; 32];
                if !crypto.machine_mut().random(&mut secret) {
                    return Err("no random bytes".into());
                }
                self.tickets
                    .insert(Box::leak(Box::new(TicketKeys::new(secret, 7_200))))
            }
        };
        let server = ServerConfig::new(identities.leak())
            .protocols(protocols)
            .tickets(tickets);
        let config = Config::server(server).observer(&Log);
        Ok(Box::leak(Box::new(config)))
    }
}

/// Keeps an identity for ever, for the names in its certificate.
fn leak(files: KeyFiles) -> Identity<'static> {
    let files: &'static KeyFiles = Box::leak(Box::new(files));
    let chain = files.chain().leak();
    files.identity(chain).names(files.names(chain).leak())
}

/// Says on standard error if no authority that the system trusts issued the last certificate. That
/// may be meant: clients may trust others.
fn warn_of_gap<C: Crypto>(identity: &Identity<'_>, cert: &str, crypto: &C) {
    let Ok(roots) = roots::system_roots() else {
        return;
    };
    if identity.check(crypto, &roots) == Err(IdentityError::NoIssuer) {
        eprintln!(
            "{cert}: no authority that this system trusts issued the last certificate in it: an \
             intermediate one is missing, or clients have to trust another authority"
        );
    }
}

/// Says on standard error why handshakes failed.
struct Log;

impl ObserveHandshakes for Log {
    fn on_failure(&self, failure: &HandshakeFailure) {
        eprintln!("{failure}");
    }
}

/// Makes a certificate that signs itself, and its key.
fn self_signed(names: &[String]) -> Result<KeyFiles, Box<dyn core::error::Error>> {
    let mut all = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    all.extend_from_slice(names);
    let made = rcgen::generate_simple_self_signed(all)?;
    let cert = made.cert.pem();
    std::fs::write("localhost.pem", &cert).map_err(|error| format!("localhost.pem: {error}"))?;
    let key = made.signing_key.serialize_pem();
    Ok(KeyFiles::parse(cert.as_bytes(), key.as_bytes())?)
}
