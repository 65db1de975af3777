//! How the process ends: OpenSSL, which is built along with the client, would clean up behind everything by then. Clients that aren't
//! waited for may be in a handshake at that moment, and crash. What it would give back goes with the process.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Once;

/// `OPENSSL_INIT_NO_ATEXIT` of `openssl/crypto.h`.
const NO_ATEXIT: u64 = 0x0008_0000;

unsafe extern "C" {
    fn OPENSSL_init_crypto(options: u64, settings: *const c_void) -> c_int;
}

/// Keeps OpenSSL from cleaning up at the end of the process. To be called before the first client is made: it counts only where
/// OpenSSL begins.
pub(in crate::source) fn without_clean_up() {
    static ONCE: Once = Once::new();
    // SAFETY: may be called at any time by any thread, and takes no settings. Should it fail, OpenSSL can't be used at all, and the
    // client will say so.
    ONCE.call_once(|| unsafe {
        OPENSSL_init_crypto(NO_ATEXIT, ptr::null());
    });
}
