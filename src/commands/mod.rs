//! The commands, one file each.

mod demo;
mod run;
mod signals;

pub use demo::demo;
pub use run::run;
