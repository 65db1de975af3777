//! `valve audit`: proves from the group's committed metadata and the files' headers that every offset is covered
//! exactly once, or says which aren't (DESIGN.md, idea 4; PROTOCOL.md, "The audit's snapshot").
//!
//! [`proof`] is the arithmetic, without I/O; [`report`] is what it comes to. Nothing here writes anywhere.

mod batches;
pub mod proof;
mod ranges;
pub mod report;
pub mod scope;
#[cfg(test)]
mod tests;

pub use proof::{Committed, Question, prove};
pub use report::{Finding, Record, Report, Verdict};
pub use scope::Scope;
