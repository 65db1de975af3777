//! The validating walk: does a datum consist of exactly what its schema says, and when did it happen?

use super::program::Program;
use super::timestamp::FieldTimes;

/// Why a datum doesn't match its schema: what is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct DatumError {
    /// The byte of the datum (behind the wire header), from 0.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Program {
    /// Checks all of `datum` and finds its timestamp fields.
    ///
    /// # Errors
    /// When `datum` isn't exactly one value of the schema, or breaks a limit.
    pub fn walk(&self, _datum: &[u8]) -> Result<FieldTimes, DatumError> {
        todo!()
    }
}
