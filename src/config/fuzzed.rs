//! What fuzz/ reaches of the settings: texts in the place of files and of Consul.

use super::sources::Sources;
use super::validate::{self, Machine};
use super::{Config, ConfigErrors};
use crate::core::layout::{Granularity, KeyTemplate};

/// What a file of this text, or a document of it in Consul, comes to on a machine of 4 GiB and 3 cores.
pub(crate) fn load(text: &str, in_consul: bool) -> Result<Config, ConfigErrors> {
    Sources::of_text(text, in_consul)?.check(Machine { memory: 4 << 30, cores: 3 })
}

/// `layout.key`, if the settings take it.
pub(crate) fn key_template(text: &str) -> Option<KeyTemplate> {
    validate::key_template(text, Some(Granularity::Hour)).ok()
}

/// `sink.prefix`, if the settings take it.
pub(crate) fn prefix(text: &str) -> Option<String> {
    validate::sink::prefix(text).ok()
}
