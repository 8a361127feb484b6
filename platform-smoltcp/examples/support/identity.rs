//! Who the servers over TLS are, by `--cert PEM --key PEM`, or else `localhost` by their own word.

use usockets::tls::{
    Config, EcdsaP256Key, Ed25519Key, Identity, Machine, Pem, ServerConfig, Signer, TicketKeys,
};

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
    /// The files cannot be read or written, or hold no certificate or key.
    pub(crate) fn config(
        &self,
        names: &[String],
        protocols: &'static [&'static [u8]],
        machine: &mut impl Machine,
    ) -> Result<&'static Config<'static>, Box<dyn core::error::Error>> {
        let (chain, key) = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => (std::fs::read(cert)?, std::fs::read(key)?),
            (None, None) => self_signed(names)?,
            _ => return Err("--cert and --key go together".into()),
        };
        let mut pem = Pem::new(&chain);
        let mut certificates: Vec<&[u8]> = Vec::new();
        while let Some(found) = pem.next("CERTIFICATE", Box::leak(Box::new([0; 4096])))? {
            certificates.push(found);
        }
        if certificates.is_empty() {
            return Err("no certificate".into());
        }
        let signer = signer(&key)?.ok_or("no P-256 or Ed25519 key")?;
        let identities = [Identity::new(certificates.leak(), Box::leak(signer))];
        let mut secret = [0; 32];
        if !machine.random(&mut secret) {
            return Err("no random bytes".into());
        }
        let tickets = Box::leak(Box::new(TicketKeys::new(secret, 7_200)));
        let server = ServerConfig::new(Box::leak(Box::new(identities)))
            .protocols(protocols)
            .tickets(tickets);
        Ok(Box::leak(Box::new(Config::server(server))))
    }
}

/// Finds the private key in a PEM text.
fn signer(text: &[u8]) -> Result<Option<Box<dyn Signer>>, Box<dyn core::error::Error>> {
    for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
        let mut memory = [0; 256];
        if let Some(document) = Pem::new(text).next(label, &mut memory)? {
            if let Ok(key) = EcdsaP256Key::from_der(document) {
                return Ok(Some(Box::new(key)));
            }
            return Ok(Some(Box::new(Ed25519Key::from_der(document)?)));
        }
    }
    Ok(None)
}

/// Makes a certificate that signs itself, and its key.
fn self_signed(names: &[String]) -> Result<(Vec<u8>, Vec<u8>), Box<dyn core::error::Error>> {
    let mut all = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    all.extend_from_slice(names);
    let made = rcgen::generate_simple_self_signed(all)?;
    std::fs::write("localhost.pem", made.cert.pem())?;
    Ok((
        made.cert.pem().into_bytes(),
        made.signing_key.serialize_pem().into_bytes(),
    ))
}
