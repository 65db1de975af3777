//! The valve daemon.
fn main() {}
