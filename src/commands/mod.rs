//! The commands, one file each.

mod run;
mod signals;

pub use run::run;
