//! The forms that names, addresses and choices have.

use crate::config::error::{Problem, nearest};

/// The longest name that Kafka gives a topic.
pub(super) const MAX_TOPIC_NAME: usize = 249;

/// A name of the characters that Kafka takes for topics.
pub(super) fn plain_name(text: &str, longest: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > longest {
        return Err(format!("it is longer than {longest} characters").into());
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err("it has a character other than letters, digits, `.`, `_` and `-`".into());
    }
    if matches!(text, "." | "..") {
        return Err("it needs something besides dots".into());
    }
    Ok(text.to_owned())
}

/// One of several words.
pub(super) fn choice<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, Problem> {
    let text = text.trim();
    if let Some((_, value)) = known.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let hint =
        nearest(text, known.iter().map(|(word, _)| *word)).map(|word| format!("did you mean `{word}`?"));
    Err(Problem { sentence: "it is none of the allowed values".to_owned(), hint })
}

/// One of several words, as text.
pub(super) fn word(text: &str, known: &[&str]) -> Result<String, Problem> {
    let known: Vec<(&str, &str)> = known.iter().map(|word| (*word, *word)).collect();
    choice(text, &known).map(str::to_owned)
}

/// Text on one line, for identifiers whose form is another system's business.
pub(super) fn one_line(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it has a blank or a control character".into());
    }
    Ok(text.to_owned())
}

/// An AWS region.
pub(super) fn region(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("a region is written like `eu-central-1`".into())
    }
}

/// `host:port`.
pub(super) fn host_port(text: &str) -> Result<String, Problem> {
    let text = one_line(text)?;
    let (host, port) = text.rsplit_once(':').ok_or("it has no port")?;
    host_is_plain(host)?;
    port_is_valid(port)?;
    Ok(text)
}

/// A broker as librdkafka takes it: `host`, `host:port`, `protocol://host:port`.
pub(super) fn broker(text: &str) -> Result<String, Problem> {
    let text = one_line(text)?;
    let (protocol, address) = text.split_once("://").unwrap_or(("", &text));
    if protocol.eq_ignore_ascii_case("http") || protocol.eq_ignore_ascii_case("https") {
        return Err("it is an HTTP address; a broker is `host:port`".into());
    }
    match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            host_is_plain(host)?;
            port_is_valid(port)?;
        }
        _ => host_is_plain(address)?,
    }
    Ok(text)
}

fn host_is_plain(host: &str) -> Result<(), Problem> {
    if host.is_empty() {
        return Err("it has no host".into());
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%');
    if host.chars().all(is_plain) {
        Ok(())
    } else {
        Err("its host has a character that hosts don't have".into())
    }
}

fn port_is_valid(port: &str) -> Result<(), Problem> {
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("its port is not a number from 1 to 65535".into()),
    }
}

/// The base URL of a service, without a slash at its end. Credentials have settings of their own: in a URL they
/// would be printed with it.
pub(super) fn base_url(text: &str) -> Result<String, Problem> {
    let text = one_line(text)?;
    let url = url::Url::parse(&text).map_err(|error| format!("it is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !text.contains("://") {
        return Err("it begins with neither `http://` nor `https://`".into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".into());
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err("it must not hold credentials; they have settings of their own".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it must not have a `?` or `#`".into());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
