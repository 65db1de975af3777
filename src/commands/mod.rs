//! The commands, one file each.

mod audit;
mod demo;
mod run;
mod signals;

pub use audit::audit;
pub use demo::demo;
pub use run::run;
