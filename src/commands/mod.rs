//! The commands, one file each.

mod audit;
mod check;
mod config;
pub(crate) mod deadletters;
mod demo;
mod failure;
mod healthcheck;
mod hours;
pub(crate) mod intents;
mod run;
mod signals;

pub use audit::audit;
pub use check::check;
pub use config::config;
pub use deadletters::deadletters;
pub use demo::demo;
pub use healthcheck::healthcheck;
pub use hours::hours;
pub use intents::intents;
pub use run::run;
