//! How long one call to a store may take before it counts as failed: a fixed part for the answer and a part for
//! the bytes to get there.

use std::time::Duration;

/// A floor under which a store counts as unavailable.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For connecting, signing in, the store's own work and its answer.
    pub answer: Duration,
    /// The slowest transfer that is still waited for, in bytes per second; at least 1.
    pub bytes_per_second: u64,
}

impl Patience {
    /// The limit for one request with a body of `len` bytes.
    #[must_use]
    pub fn for_request(&self, len: u64) -> Duration {
        self.answer.saturating_add(Duration::from_secs(len.div_ceil(self.bytes_per_second.max(1))))
    }

    /// After how long a call that moves `len` bytes is told as a trouble, though it isn't given up yet.
    #[must_use]
    pub fn for_silence(&self, len: u64) -> Duration {
        self.for_request(len).saturating_sub(self.answer / 3 * 2)
    }

    /// The limit for making an object of `parts` parts that have been sent. S3 may take minutes for that
    /// ("`CompleteMultipartUpload`" in the API reference), others copy the parts together: a quarter of a second for
    /// each is 32 MiB/s or more. Too short a limit would have the file sent again and again.
    #[must_use]
    pub fn for_completion(&self, parts: usize) -> Duration {
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        self.answer.saturating_mul(4).saturating_add(Duration::from_millis(250).saturating_mul(parts))
    }

    /// The limit for a whole put of `len` bytes, whatever requests it consists of: a put that is refused for a
    /// lack of conditional writes sends its bytes twice, and lookups and the ends of a multipart upload add
    /// answers. It is only there for a call that hangs; the store's own limits come first.
    #[must_use]
    pub fn for_put(&self, len: u64) -> Duration {
        self.for_request(len).saturating_mul(2).saturating_add(self.answer.saturating_mul(4))
    }
}

impl Default for Patience {
    /// 30 s, and 256 KiB/s: 16 uploads at once over a 32 Mbit/s line are slow, not failed.
    fn default() -> Self {
        Self { answer: Duration::from_secs(30), bytes_per_second: 256 * 1024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_larger_body_then_it_is_waited_for_longer() {
        let patience = Patience { answer: Duration::from_secs(30), bytes_per_second: 1024 };
        assert_eq!(patience.for_request(0), Duration::from_secs(30));
        assert_eq!(patience.for_request(1025), Duration::from_secs(32));
        assert_eq!(patience.for_put(1025), Duration::from_secs(184));
        assert_eq!(patience.for_silence(1025), Duration::from_secs(12), "sooner than a request is given up");
        let slowest = Patience { bytes_per_second: 1, ..patience };
        assert_eq!(slowest.for_put(u64::MAX), Duration::MAX, "a range without an end");
    }

    #[test]
    fn given_more_parts_then_their_completion_is_waited_for_longer() {
        let patience = Patience::default();
        assert_eq!(patience.for_completion(0), Duration::from_secs(120));
        assert_eq!(patience.for_completion(10_000), Duration::from_secs(2620));
        // A put's own limit never comes first: 9 parts are the fewest of a body that is put in parts.
        assert!(patience.for_completion(9) < patience.for_put(64 << 20));
    }
}
