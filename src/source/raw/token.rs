//! Gives a client its token before it asks for one: `rd_kafka_oauthbearer_set_token`. A client asks by an event, and those that
//! are asked something before they are polled would wait for a token in vain.

use std::ffi::CString;
use std::ptr;

use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::error::IsError as _;
use rdkafka_sys as sys;

/// Room for what the client says of a token that it doesn't take, in bytes.
const REASON: usize = 512;

/// The client signs in with `token` from now on.
///
/// # Errors
/// What the client has against the token.
pub(in crate::source) fn set_token<C: ClientContext>(
    client: &Client<C>,
    token: &OAuthToken,
) -> Result<(), String> {
    let value = CString::new(&*token.token).map_err(|error| error.to_string())?;
    let principal = CString::new(&*token.principal_name).map_err(|error| error.to_string())?;
    let mut reason = vec![0_u8; REASON];
    // SAFETY: the client is alive, as it is borrowed; it copies both texts, and ends its reason within the length that it is
    // told with a zero byte.
    let code = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            reason.as_mut_ptr().cast(),
            reason.len(),
        )
    };
    if !code.is_error() {
        return Ok(());
    }
    reason.truncate(reason.iter().position(|byte| *byte == 0).unwrap_or(0));
    Err(String::from_utf8_lossy(&reason).into_owned())
}
