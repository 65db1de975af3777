//! What the store has of this valve: its files, found by listing, described by their headers.
//!
//! A header says which batch a file belongs to and, in a batch's first file, what the whole cover that ends with it
//! came to. Whoever wants to know what was stored (the audit, a start from what is stored, the
//! release of a batch) asks here; nothing here decides what it means, or reads a row.
//!
//! - [`store`]: lists keys and reads the beginnings of objects.
//! - [`header`]: whether an object is one of this valve's files, and what its header says.
//! - `survey`: where a topic's files end, when the brokers have forgotten.
//! - [`mod@file`]: that, without what only a reader of the rows needs.

pub mod file;
pub mod header;
pub mod store;
pub(crate) mod survey;
#[cfg(test)]
pub(crate) mod tests;

pub use file::{ListedFile, Part, StoredFile, Totals};
pub use header::{Container, FileHeader, Recognised};
pub use store::Store;
