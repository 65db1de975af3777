//! Avro without decoding: what a datum's bytes are is checked, then they go unchanged into a container file.
//!
//! - [`wire`]: the five bytes before a datum.
//! - [`schema`]: a writer's schema; [`references`]: schemas made of several.
//! - [`program`]: a schema compiled for [`walk`], which checks a datum and finds its timestamp on the way.
//! - [`timestamp`]: which fields may say when an event happened, and what is accepted in them.
//! - [`container`]: the file format; [`codec`]: how its blocks are compressed.

pub mod codec;
pub mod container;
pub mod program;
pub mod references;
pub mod schema;
pub mod timestamp;
pub mod walk;
pub mod wire;
