//! What the connections to the registry trust and show: PEM files, read once at the start.

use std::fs;
use std::path::Path;

use reqwest::{Certificate, ClientBuilder, Identity};

use super::endpoint::InvalidRegistry;
use crate::config::RegistryTls;
use crate::http_client;

/// Of all URLs of the registry. (The client's own types may show a key; so this has no `Debug`.)
pub(super) struct Tls {
    /// Instead of the system's.
    authorities: Option<Vec<Certificate>>,
    identity: Option<Identity>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one can't be read or isn't what it should be; the setting is named.
    pub(super) fn read(config: &RegistryTls) -> Result<Self, InvalidRegistry> {
        let authorities = config.authorities.as_deref().map(authorities).transpose()?;
        let identity = config.identity.as_ref().map(|(certificate, key)| identity(certificate, key));
        Ok(Self { authorities, identity: identity.transpose()? })
    }

    /// A client that does so.
    pub(super) fn apply(&self, mut client: ClientBuilder) -> ClientBuilder {
        if let Some(authorities) = &self.authorities {
            client = client.tls_certs_only(authorities.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            client = client.identity(identity.clone());
        }
        client
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, InvalidRegistry> {
    let pem = read("registry.ca", path)?;
    http_client::certificates(&pem).ok_or_else(|| wrong("registry.ca", path, "it has no certificate in PEM"))
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, InvalidRegistry> {
    let pem = read("registry.certificate", certificate)?;
    if http_client::certificates(&pem).is_none() {
        return Err(wrong("registry.certificate", certificate, "it has no certificate in PEM"));
    }
    let unusable = "it has no private key in PEM, or one under a password, which isn't supported here";
    let identity = http_client::identity(pem, read("registry.key", key)?);
    identity.ok_or_else(|| wrong("registry.key", key, unusable))
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, InvalidRegistry> {
    fs::read(path).map_err(|error| wrong(setting, path, &format!("it can't be read: {error}")))
}

fn wrong(setting: &str, path: &Path, what: &str) -> InvalidRegistry {
    InvalidRegistry(format!("{setting}: the file {path:?}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with this text in each place.
    fn refusals(text: &str) -> [String; 2] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.pem");
        fs::write(&path, text).unwrap();
        let said = |tls: RegistryTls| Tls::read(&tls).err().expect("refused").to_string();
        [
            said(RegistryTls { authorities: Some(path.clone()), identity: None }),
            said(RegistryTls { authorities: None, identity: Some((path.clone(), path)) }),
        ]
    }

    #[test]
    fn given_files_that_are_no_certificates_then_the_setting_is_named_and_nothing_of_them_shown() {
        for text in ["hunter2", "", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            let [authorities, identity] = refusals(text);
            assert!(
                authorities.starts_with("registry.ca: ") && authorities.contains("file.pem"),
                "{authorities}"
            );
            assert!(identity.starts_with("registry.certificate: "), "{identity}");
            assert!(
                !authorities.contains("hunter2") && !identity.contains("hunter2"),
                "{authorities} {identity}"
            );
        }
    }

    #[test]
    fn given_a_file_that_isnt_there_then_that_is_said() {
        let tls = RegistryTls { authorities: Some("/no/such".into()), identity: None };
        let said = Tls::read(&tls).err().expect("refused").to_string();
        assert!(said.contains("registry.ca") && said.contains("No such file"), "{said}");
    }
}
