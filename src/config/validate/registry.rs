//! `registry.*`

use std::path::PathBuf;

use super::syntax::{base_url, one_line};
use crate::config::check::Checker;
use crate::config::error::Problem;
use crate::config::value::duration;
use crate::config::{RegistryAuth, RegistryConfig, RegistryTls, Secret};

/// The settings `registry.*`.
pub(super) fn registry(settings: &mut Checker) -> Option<RegistryConfig> {
    let urls = settings.required_list("registry.url", |items| {
        if items.is_empty() {
            return Err("the list is empty".into());
        }
        items.iter().map(|item| base_url(item)).collect::<Result<Vec<_>, _>>()
    });
    let auth = auth(settings);
    let tls = tls(settings, urls.as_deref().unwrap_or_default());
    let unknown_after = settings.required("registry.unknown_after", duration);
    Some(RegistryConfig { urls: urls?, auth, tls, unknown_after: unknown_after? })
}

fn auth(settings: &mut Checker) -> Option<RegistryAuth> {
    let username = settings.optional("registry.username", one_line);
    let password = settings.optional("registry.password", secret);
    let token = settings.optional("registry.token", secret);
    let [has_username, has_password, has_token] =
        ["registry.username", "registry.password", "registry.token"].map(|name| settings.is_given(name));
    if has_token && (has_username || has_password) {
        let hint = "give either, and set the other to nothing";
        settings.refuse(
            "registry.token",
            Problem::with_hint("it goes with neither `registry.username` nor `registry.password`", hint),
        );
        return None;
    }
    if has_username && !has_password {
        settings.refuse("registry.username", "`registry.password` is missing beside it".into());
    }
    if has_password && !has_username {
        settings.refuse("registry.password", "`registry.username` is missing beside it".into());
    }
    match (username, password, token) {
        (Some(username), Some(password), None) => Some(RegistryAuth::Basic { username, password }),
        (_, _, Some(token)) => Some(RegistryAuth::Bearer(token)),
        _ => None,
    }
}

fn tls(settings: &mut Checker, urls: &[String]) -> RegistryTls {
    let file = |text: &str| Ok(PathBuf::from(text));
    let authorities = settings.optional("registry.ca", file);
    let certificate = settings.optional("registry.certificate", file);
    let key = settings.optional("registry.key", file);
    if certificate.is_some() != key.is_some() {
        let (given, missing) = match certificate {
            Some(_) => ("registry.certificate", "registry.key"),
            None => ("registry.key", "registry.certificate"),
        };
        settings.refuse(given, format!("`{missing}` is missing beside it").into());
    }
    for name in ["registry.ca", "registry.certificate"] {
        if settings.is_given(name) && !urls.is_empty() && urls.iter().all(|url| !url.starts_with("https:")) {
            settings.refuse(name, "`registry.url` has no `https://` URL".into());
        }
    }
    RegistryTls { authorities, identity: certificate.zip(key) }
}

/// A secret as it is, blanks and all; but what an HTTP header can't carry is refused here.
fn secret(text: &str) -> Result<Secret, Problem> {
    if text.chars().any(char::is_control) {
        return Err("it has a line break or another control character".into());
    }
    Ok(Secret::new(text))
}
