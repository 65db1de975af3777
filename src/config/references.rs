//! References inside values: `${env:NAME}` is what an environment variable holds, `${file:/run/secrets/x}` what a file does,
//! `${consul:a/key}` what Consul has there, which is asked for before values are looked at (`sources`).
//! `$${` stands for `${` itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

use figment::value::Dict;
use figment::{Figment, Provider as _};

use super::check::Form;
use super::error::Problem;

/// What references to Consul begin with.
const CONSUL: &str = "consul:";

/// A file that is referred to may be so long, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// What references are looked up in. It may hold secrets, and so has no `Debug`.
pub(super) struct References {
    env: BTreeMap<String, String>,
    /// None where Consul wasn't asked.
    consul: Option<Looked>,
}

/// Keys of Consul with their values, if they have one.
pub(super) type Looked = BTreeMap<String, Option<String>>;

impl References {
    pub(super) fn new(env: BTreeMap<String, String>) -> Self {
        Self { env, consul: None }
    }

    /// Takes what Consul said.
    pub(super) fn looked(&mut self, values: Looked) {
        self.consul = Some(values);
    }

    /// The keys of Consul that settings refer to.
    pub(super) fn consul_keys(&self, merged: &Figment) -> Vec<String> {
        let profiles = merged.data().unwrap_or_default();
        let mut keys = BTreeSet::new();
        let mut look_up = |reference: &str| {
            keys.extend(reference.strip_prefix(CONSUL).filter(|key| is_key(key)).map(str::to_owned));
            Ok(String::new())
        };
        for value in profiles.into_values().flat_map(Dict::into_values) {
            // What is wrong with it is told when it is resolved.
            drop(form(&Form::of(value), &mut look_up));
        }
        keys.into_iter().collect()
    }

    /// The value with what its references stand for.
    ///
    /// # Errors
    /// When one can't be looked up; without what it would have held.
    pub(super) fn resolve(&self, written: &Form) -> Result<Form, Problem> {
        form(written, &mut |reference| self.look_up(reference))
    }

    fn look_up(&self, reference: &str) -> Result<String, Problem> {
        match reference.split_once(':') {
            Some(("env", name)) => {
                let value = self.env.get(name).filter(|value| !value.contains('\u{fffd}'));
                value.cloned().ok_or_else(|| {
                    format!("the environment variable {name:?} that it refers to isn't set, or isn't UTF-8")
                        .into()
                })
            }
            Some(("file", path)) => read(path)
                .map_err(|why| format!("the file {path:?} that it refers to can't be read: {why}").into()),
            Some(("consul", key)) => self.in_consul(key),
            _ => Err(Problem::with_hint(
                "it refers to something unknown",
                "`${env:NAME}`, `${file:/path}` or `${consul:a/key}`; `$${` stands for `${` itself",
            )),
        }
    }

    fn in_consul(&self, key: &str) -> Result<String, Problem> {
        if !is_key(key) {
            let hint = "letters, digits, `-`, `_`, `.` and `,` between slashes";
            return Err(Problem::with_hint("it refers to something that is no key of Consul's", hint));
        }
        let Some(values) = &self.consul else {
            let hint =
                "Consul is asked where CONSUL_HTTP_ADDR says, for all but what must be known without it";
            return Err(Problem::with_hint("it refers to Consul, which wasn't asked", hint));
        };
        let value = values.get(key).cloned().flatten().filter(|value| !value.contains('\u{fffd}'));
        value.ok_or_else(|| {
            format!("Consul has nothing at the key {key:?} that it refers to, or no UTF-8").into()
        })
    }
}

/// The value with what `look_up` gives for its references.
fn form(written: &Form, look_up: &mut dyn FnMut(&str) -> Result<String, Problem>) -> Result<Form, Problem> {
    match written {
        Form::Text(one) => text(one, look_up).map(Form::Text),
        Form::List(items) => {
            items.iter().map(|item| text(item, look_up)).collect::<Result<_, _>>().map(Form::List)
        }
        Form::Neither(why) => Ok(Form::Neither(why)),
    }
}

fn text(written: &str, look_up: &mut dyn FnMut(&str) -> Result<String, Problem>) -> Result<String, Problem> {
    let (mut resolved, mut rest) = (String::with_capacity(written.len()), written);
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        let after = &reference[2..];
        if let Some(escaped) = before.strip_suffix('$') {
            resolved.push_str(escaped);
            resolved.push_str("${");
            rest = after;
            continue;
        }
        resolved.push_str(before);
        let (inside, behind) = after
            .split_once('}')
            .ok_or("`${` begins a reference that doesn't end; `$${` stands for itself")?;
        resolved.push_str(&look_up(inside)?);
        rest = behind;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// Whether Consul takes it for a key. About another it would be asked for ever, and refuse each time.
fn is_key(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ',');
    text.split('/').all(|part| !part.is_empty() && part.chars().all(is_plain))
}

/// The file's text without the line break that editors leave at its end.
fn read(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn resolved(text: &str) -> Result<String, Problem> {
        let env = [("USER", "anna"), ("EMPTY", ""), ("NESTED", "${env:USER}"), ("BROKEN", "\u{fffd}")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let references = References::new(env.into());
        super::text(text, &mut |reference| references.look_up(reference))
    }

    #[test]
    fn given_references_anywhere_in_a_text_then_what_they_stand_for_is_in_their_place() {
        for (written, expected) in [
            ("${env:USER}", "anna"),
            ("u-${env:USER}-${env:EMPTY}.", "u-anna-."),
            ("$${env:USER}", "${env:USER}"),
            ("a$b ${env:NESTED} $", "a$b ${env:USER} $"),
            ("^or.*$", "^or.*$"),
        ] {
            assert_eq!(resolved(written).unwrap_or_default(), expected, "{written}");
        }
    }

    #[test]
    fn given_a_file_then_its_text_without_the_last_line_break_is_taken() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "hunter2\r\n").unwrap();
        let reference = format!("${{file:{}}}", file.path().display());
        assert_eq!(resolved(&reference).unwrap_or_default(), "hunter2");
        file.write_all(&[b'x'; 70_000]).unwrap();
        assert!(
            resolved(&reference).is_err_and(|problem| problem.sentence.contains("longer than 65536 bytes"))
        );
    }

    #[test]
    fn given_what_cant_be_looked_up_then_it_is_said() {
        for (written, said) in [
            ("${env:USR}", "\"USR\""),
            ("${env:BROKEN}", "UTF-8"),
            ("${file:/no/such}", "\"/no/such\""),
            ("${USER}", "unknown"),
            ("${consol:a}", "unknown"),
            ("a${env:USER", "doesn't end"),
        ] {
            assert!(resolved(written).is_err_and(|problem| problem.sentence.contains(said)), "{written}");
        }
    }

    proptest! {
        #[test]
        fn given_any_text_then_resolving_it_ends_and_one_without_references_stays(text in ".*") {
            let outcome = resolved(&text);
            if !text.contains("${") {
                prop_assert_eq!(outcome.ok(), Some(text));
            }
        }
    }
}
