//! A question for the time (SNTP, RFC 4330).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use usockets_smoltcp::dhcp::Lease;

use super::station::Question;

/// Bytes of a message, and the port of servers.
const MESSAGE: usize = 48;
const PORT: u16 = 123;
/// Seconds from 1900 to 1970.
const TO_UNIX: u64 = 2_208_988_800;
/// Version 4, from a client.
const ASKS: u8 = 0x23;

/// The question, and the time that the answer tells.
#[derive(Debug)]
pub(crate) struct Sntp {
    server: Option<Ipv4Addr>,
    /// Random bytes in place of the time here, which an answer repeats: nobody else can answer, and
    /// nobody learns what this clock says.
    nonce: [u8; 8],
    /// Seconds since 1970.
    pub(crate) seconds: Option<u64>,
}

impl Sntp {
    /// Asks `server`, or the one that the lease names.
    pub(crate) const fn new(server: Option<Ipv4Addr>, nonce: [u8; 8]) -> Self {
        Self {
            server,
            nonce,
            seconds: None,
        }
    }

    fn parse(&self, message: &[u8]) -> Option<u64> {
        let message = message.first_chunk::<MESSAGE>()?;
        let [first, stratum, ..] = *message;
        let (_, times) = message.split_first_chunk::<24>()?;
        let (origin, times) = times.split_first_chunk::<8>()?;
        let (_, sent) = times.split_first_chunk::<8>()?;
        let seconds = u64::from(u32::from_be_bytes(*sent.first_chunk()?));
        // From a server whose own clock is set.
        let sound = first & 7 == 4 && first >> 6 != 3 && (1..=15).contains(&stratum);
        if !sound || *origin != self.nonce || seconds == 0 {
            return None;
        }
        // Numbers began anew in 2036 (section 3).
        let era = if seconds >> 31 == 0 { 1 << 32 } else { 0 };
        seconds.checked_add(era)?.checked_sub(TO_UNIX)
    }
}

impl Question for Sntp {
    fn server(&self, lease: &Lease) -> Option<SocketAddr> {
        let [named, ..] = lease.ntp;
        let server = self.server.or(named)?;
        Some(SocketAddr::new(IpAddr::V4(server), PORT))
    }

    fn ask(&mut self, message: &mut [u8]) -> usize {
        let Some(message) = message.first_chunk_mut::<MESSAGE>() else {
            return 0;
        };
        message.fill(0);
        let [first, .., a, b, c, d, e, f, g, h] = message;
        *first = ASKS;
        [*a, *b, *c, *d, *e, *f, *g, *h] = self.nonce;
        MESSAGE
    }

    fn read(&mut self, message: &[u8]) -> bool {
        self.seconds = self.parse(message);
        self.seconds.is_some()
    }
}
