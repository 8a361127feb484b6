//! The PROXY protocol (HAProxy's `proxy-protocol.txt`, 2020/03/05): how a proxy tells a server
//! whose connection it passes on.
//!
//! | file | what it has |
//! |---|---|
//! | `header.rs` | [`ProxyHeader`]: the two forms of a header, read and written |
//! | `text.rs` | addresses and ports as text |
//! | `layer.rs` | [`Proxied`]: a layer over any platform, below TLS |

mod header;
mod layer;
mod text;

pub use header::{ProxyHeader, ProxyParsed, ProxyValues, ProxyVersion};
pub use layer::{Network, Proxied, ProxiedSocket, ProxyPlace, Untrusted};
