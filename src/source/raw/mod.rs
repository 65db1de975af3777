//! The only unsafe code: what librdkafka can do and its Rust binding doesn't offer.
//!
//! - [`take`]: records in batches from a queue of the lane's own, to which assigned partitions are forwarded. That is
//!   twice as fast as polling them one by one, and a message carries its topic and partition even when it is an error.
//! - [`commit`]: offset commits whose answer comes as an event.
//! - [`log_end`]: where a log ended when something was last fetched of it, without asking the brokers.
//! - [`describe`]: what the brokers say of topics and of a group: ids, errors, what this client may do with them.
//! - [`token`]: a token for a client that isn't polled.
//! - [`exit`]: no clean-up of OpenSSL behind clients that are still at work.
//! - [`large`]: large memory goes back to the system at once.
//! - `waits`: the client's waits, whatever happens to the wall clock.

#![expect(
    unsafe_code,
    reason = "calls librdkafka's C API and its libraries'; each block states why it is sound"
)]

pub(super) mod commit;
pub(super) mod describe;
pub(super) mod exit;
pub(super) mod large;
pub(super) mod log_end;
pub(super) mod take;
pub(super) mod token;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod waits;
