//! The authorities that the system trusts.

use usockets::tls::TrustAnchor;

/// Returns the authorities that the system trusts, in the file that `SSL_CERT_FILE` names if it
/// names one. One that cannot be read is not trusted.
///
/// # Errors
/// There are none, and why.
pub(crate) fn system_roots() -> Result<Vec<TrustAnchor<'static>>, String> {
    let loaded = rustls_native_certs::load_native_certs();
    let read = |certificate| webpki::anchor_from_trusted_cert(certificate).ok();
    let roots: Vec<_> = loaded
        .certs
        .iter()
        .filter_map(read)
        .map(|root| root.to_owned())
        .collect();
    match (roots.is_empty(), loaded.errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(error)) => Err(format!("the system's authorities: {error}")),
        (true, None) => Err("the system trusts no authorities".to_owned()),
    }
}
