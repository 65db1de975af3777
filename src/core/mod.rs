//! What decides: a state machine without I/O, clock, threads or Kafka's types.

pub mod layout;
