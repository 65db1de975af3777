//! What `valve demo` embeds, so that it needs no service.

pub mod registry_server;
