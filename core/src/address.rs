//! The address of a socket, of any family.

use core::fmt;
use core::net::SocketAddr;

use crate::error::Error;

/// Bytes of a Unix socket's address on every platform but the BSDs, which have 104 (`unix(7)`).
const LOCAL_MAX: usize = 108;

/// The address of a socket: none, an Internet address, or a Unix socket's.
///
/// ```
/// use core::net::SocketAddr;
/// use usockets::{Address, LocalAddress};
///
/// let web = Address::from(SocketAddr::from(([192, 0, 2, 1], 80)));
/// assert_eq!(web.ip().map(|ip| ip.port()), Some(80));
/// assert_eq!(web.to_string(), "192.0.2.1:80");
/// let local = Address::Local(LocalAddress::path(b"/run/app.sock")?);
/// assert_eq!(local.ip(), None);
/// assert_eq!(local.to_string(), "/run/app.sock");
/// # Ok::<(), usockets::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Address {
    /// The socket has no address, as the connecting end of most Unix connections.
    #[default]
    Unnamed,
    /// An Internet address and port. An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2)
    /// comes as IPv4.
    Ip(SocketAddr),
    /// A Unix socket's path or abstract name.
    Local(LocalAddress),
}

impl Address {
    /// Returns the Internet address, or `None` for another kind.
    #[must_use]
    pub const fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(addr) => Some(*addr),
            Self::Unnamed | Self::Local(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Self::Ip(addr)
    }
}

impl From<LocalAddress> for Address {
    fn from(addr: LocalAddress) -> Self {
        Self::Local(addr)
    }
}

impl PartialEq<SocketAddr> for Address {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.ip() == Some(*other)
    }
}

/// An Internet address is written by the standard library, whose code the linker cannot show to be
/// free of panics.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("unnamed"),
            Self::Ip(addr) => addr.fmt(f),
            Self::Local(addr) => addr.fmt(f),
        }
    }
}

/// The address of a Unix socket (`unix(7)`): a path, or an abstract name, which starts with a NUL.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct LocalAddress {
    len: u8,
    bytes: [u8; LOCAL_MAX],
}

impl LocalAddress {
    /// Makes the address of a path in the file system.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the path is empty, has a NUL, or has more than 107 bytes.
    pub fn path(path: &[u8]) -> Result<Self, Error> {
        if path.len() >= LOCAL_MAX || path.contains(&0) {
            return Err(Error::Invalid);
        }
        Self::of(&[path])
    }

    /// Makes an abstract address, which no file stands for. Linux only.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the name is empty or has more than 107 bytes.
    pub fn abstract_name(name: &[u8]) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::Invalid);
        }
        Self::of(&[&[0], name])
    }

    /// Puts the bytes of an address together.
    fn of(parts: &[&[u8]]) -> Result<Self, Error> {
        let mut address = Self {
            len: 0,
            bytes: [0; LOCAL_MAX],
        };
        for byte in parts.iter().copied().flatten() {
            let place = address.bytes.get_mut(usize::from(address.len));
            *place.ok_or(Error::Invalid)? = *byte;
            address.len = address.len.saturating_add(1);
        }
        match address.len {
            0 => Err(Error::Invalid),
            _ => Ok(address),
        }
    }

    /// Returns the path, or `None` for an abstract address.
    #[must_use]
    pub fn as_path(&self) -> Option<&[u8]> {
        let bytes = self.as_bytes();
        (bytes.first() != Some(&0)).then_some(bytes)
    }

    /// Returns the abstract name, without the NUL before it, or `None` for a path.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        self.as_bytes().strip_prefix(&[0])
    }

    /// Returns the bytes as the operating system has them: an abstract name with its NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.as_abstract_name() {
            Some(name) => {
                f.write_str("@")?;
                name
            }
            None => self.as_bytes(),
        };
        name.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn paths_and_abstract_names_differ() {
        let path = LocalAddress::path(b"/run/a").unwrap();
        assert_eq!(path.as_path(), Some(&b"/run/a"[..]));
        assert_eq!(path.as_abstract_name(), None);
        let name = LocalAddress::abstract_name(b"a\0b").unwrap();
        assert_eq!(name.as_path(), None);
        assert_eq!(name.as_abstract_name(), Some(&b"a\0b"[..]));
        assert_eq!(Address::from(name).to_string(), "@a\\x00b");
        assert_ne!(path, name);
    }

    #[test]
    fn an_address_is_the_same_as_no_other_internet_address() {
        let [one, other] = [
            SocketAddr::from(([127, 0, 0, 1], 80)),
            SocketAddr::from(([127, 0, 0, 1], 81)),
        ];
        assert_eq!(Address::from(one), one);
        assert_ne!(Address::from(one), other);
        assert_ne!(Address::Unnamed, one);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(LocalAddress::path(b""), Err(Error::Invalid));
        assert_eq!(LocalAddress::path(b"a\0"), Err(Error::Invalid));
        assert!(LocalAddress::path(&[b'a'; 107]).is_ok());
        assert_eq!(LocalAddress::path(&[b'a'; 108]), Err(Error::Invalid));
        assert_eq!(LocalAddress::abstract_name(b""), Err(Error::Invalid));
        assert!(LocalAddress::abstract_name(&[b'a'; 107]).is_ok());
        assert_eq!(
            LocalAddress::abstract_name(&[b'a'; 108]),
            Err(Error::Invalid)
        );
    }
}
