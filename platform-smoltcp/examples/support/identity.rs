//! Who the servers over TLS are, by `--cert PEM --key PEM`, or else `localhost` by their own word.

use usockets::tls::{
    Config, Crypto, EcdsaP256Key, Ed25519Key, Identity, Machine, Pem, ServerConfig, Signer,
    TicketKeys,
};

type Failure = Box<dyn core::error::Error>;

/// What the arguments ask for, and the arguments that are not about TLS.
#[derive(Default)]
pub(crate) struct Options {
    /// Whether `--tls` is among them.
    #[allow(dead_code, reason = "for servers that can do without")]
    pub(crate) tls: bool,
    cert: Option<String>,
    key: Option<String>,
    /// The others.
    pub(crate) rest: Vec<String>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--tls" => options.tls = true,
                "--cert" => options.cert = arguments.next(),
                "--key" => options.key = arguments.next(),
                _ => options.rest.push(argument),
            }
        }
        options
    }

    /// Makes the configuration of a server that lives as long as the program.
    ///
    /// Without a certificate, one is made for `localhost` and `names`, and written to
    /// `localhost.pem`.
    ///
    /// # Errors
    /// Which of the files cannot be used and why, be it that clients would refuse it.
    pub(crate) fn config<C: Crypto>(
        &self,
        names: &[String],
        protocols: &'static [&'static [u8]],
        crypto: &mut C,
    ) -> Result<&'static Config<'static>, Failure> {
        let (identity, files) = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = in_file(cert, std::fs::read(cert))?;
                let chain = in_file(cert, certificates(&chain))?;
                let text = in_file(key, std::fs::read(key))?;
                let signer = in_file(key, signer(&text))?;
                (identity(chain, signer), format!("{cert} with {key}"))
            }
            (None, None) => {
                let (chain, key) = self_signed(names)?;
                let identity = identity(certificates(&chain)?, signer(&key)?);
                (identity, "localhost.pem".to_owned())
            }
            _ => return Err("--cert and --key go together".into()),
        };
        in_file(&files, identity.check(crypto, &[]))?;
        let identities = [identity];
        let mut secret = [0; 32];
        if !crypto.machine_mut().random(&mut secret) {
            return Err("no random bytes".into());
        }
        let tickets = Box::leak(Box::new(TicketKeys::new(secret, 7_200)));
        let server = ServerConfig::new(Box::leak(Box::new(identities)))
            .protocols(protocols)
            .tickets(tickets);
        Ok(Box::leak(Box::new(Config::server(server))))
    }
}

/// Says in which file it is that something is wrong.
fn in_file<T>(path: &str, what: Result<T, impl Into<Failure>>) -> Result<T, Failure> {
    what.map_err(|error| format!("{path}: {}", error.into()).into())
}

/// Keeps who we are for ever.
fn identity(chain: Vec<Vec<u8>>, signer: Box<dyn Signer>) -> Identity<'static> {
    let chain: Vec<&[u8]> = chain.into_iter().map(|one| &*one.leak()).collect();
    Identity::new(chain.leak(), Box::leak(signer))
}

/// Finds the certificates in a PEM text.
fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut pem = Pem::new(text);
    let mut memory = vec![0; text.len()];
    let mut found = Vec::new();
    while let Some(document) = pem.next("CERTIFICATE", &mut memory)? {
        found.push(document.to_vec());
    }
    match found.is_empty() {
        true => Err("there is no certificate in it".into()),
        false => Ok(found),
    }
}

/// Finds the private key in a PEM text.
fn signer(text: &[u8]) -> Result<Box<dyn Signer>, Failure> {
    let mut memory = vec![0; text.len()];
    for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
        if let Some(document) = Pem::new(text).next(label, &mut memory)? {
            if let Ok(key) = EcdsaP256Key::from_der(document) {
                return Ok(Box::new(key));
            }
            return Ok(Box::new(Ed25519Key::from_der(document)?));
        }
    }
    Err("there is no key of P-256 or Ed25519 in it that is not encrypted".into())
}

/// Makes a certificate that signs itself, and its key.
fn self_signed(names: &[String]) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let mut all = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    all.extend_from_slice(names);
    let made = rcgen::generate_simple_self_signed(all)?;
    in_file(
        "localhost.pem",
        std::fs::write("localhost.pem", made.cert.pem()),
    )?;
    Ok((
        made.cert.pem().into_bytes(),
        made.signing_key.serialize_pem().into_bytes(),
    ))
}
