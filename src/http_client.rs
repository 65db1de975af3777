//! What all that asks over HTTP have in common: who asks, answers of bounded size, certificates, and what went
//! wrong in words without a URL.

use reqwest::Response;
use reqwest::tls::{Certificate, Identity};

use crate::causes::with_causes;

/// By which name valve's clients go.
pub(crate) const USER_AGENT: &str = concat!("valve/", env!("CARGO_PKG_VERSION"));

/// The answer's body.
///
/// # Errors
/// Says why, when it breaks off or is longer than `limit` bytes.
pub(crate) async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > limit {
            return Err(format!("the answer is larger than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What went wrong below HTTP, down to its cause; without the URL, which may hold credentials.
pub(crate) fn told(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}

/// The certificates of a file in PEM; none when it has none.
pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<Certificate>> {
    Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty())
}

/// What a client shows of itself, from files in PEM. What the library says of unusable ones might quote the key.
pub(crate) fn identity(certificate: Vec<u8>, key: Vec<u8>) -> Option<Identity> {
    Identity::from_pem(&[certificate, key].join(&b'\n')).ok()
}
