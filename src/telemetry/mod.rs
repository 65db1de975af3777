//! What valve says about itself: metrics, lag, health, logs.

pub mod status;
pub mod troubles;
