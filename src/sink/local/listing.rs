//! Keys of a directory tree in the order of their bytes, a page at a time.
//!
//! Names are not in the order of keys: `a.avro` comes before all of the directory `a`, since `.` comes before `/`.
//! So a directory is sorted as its name with a `/` behind it, and then walking it depth first gives the order.
//! Directories that lie outside of the prefix or wholly before the page aren't opened; each page reads those on
//! the way to its first key again, so a directory of n files is read about n / 1,000 times.
//!
//! What no put could have made is passed over: temporary names, names that are not Unicode, sockets and the like,
//! links that lead nowhere. Links that lead in a circle end in an error.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::super::{LIST_PAGE, Listed, SinkError};
use super::is_temporary;

/// The first objects under `root` with `prefix` behind `after`.
pub(super) fn page(root: &Path, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError> {
    let wanted = Wanted { prefix, after };
    let mut page = Vec::new();
    // What is still to be looked at, the next on top. The root's own key is empty.
    let mut pending = vec![Place { key: String::new(), is_directory: true }];
    while let Some(place) = pending.pop() {
        let path = root.join(&place.key);
        let unavailable = |error: io::Error| {
            let path = path.display();
            SinkError::Unavailable(format!("cannot list {path}: {error} (check sink.path)"))
        };
        if place.is_directory {
            pending.extend(places_in(&path, &place.key, wanted).map_err(unavailable)?);
        } else if let Some(metadata) = if_there(fs::metadata(&path)).map_err(unavailable)? {
            page.push(Listed { key: place.key, len: metadata.len() });
            if page.len() == LIST_PAGE {
                break;
            }
        }
    }
    Ok(page)
}

#[derive(Clone, Copy)]
struct Wanted<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
}

impl Wanted<'_> {
    fn has(self, place: &Place) -> bool {
        let key = place.key.as_str();
        let is_behind = self.after.is_none_or(|after| key > after);
        if place.is_directory {
            let may_hold_prefix = key.starts_with(self.prefix) || self.prefix.starts_with(key);
            may_hold_prefix && (is_behind || self.after.is_some_and(|after| after.starts_with(key)))
        } else {
            key.starts_with(self.prefix) && is_behind
        }
    }
}

/// A file, or a directory, whose key ends in `/`.
struct Place {
    key: String,
    is_directory: bool,
}

/// What of `directory` is wanted, the last first. Empty when it is gone.
fn places_in(directory: &Path, key: &str, wanted: Wanted<'_>) -> io::Result<Vec<Place>> {
    let Some(entries) = if_there(fs::read_dir(directory))? else { return Ok(Vec::new()) };
    let mut places = Vec::new();
    for entry in entries {
        places.extend(place_of(&entry?, key)?.filter(|place| wanted.has(place)));
    }
    places.sort_unstable_by(|one, other| other.key.cmp(&one.key));
    Ok(places)
}

fn place_of(entry: &DirEntry, directory: &str) -> io::Result<Option<Place>> {
    let name = entry.file_name();
    let Some(name) = name.to_str().filter(|name| !is_temporary(name.as_bytes())) else { return Ok(None) };
    let mut kind = entry.file_type()?;
    if kind.is_symlink() {
        let Some(leads_to) = if_there(fs::metadata(entry.path()))? else { return Ok(None) };
        kind = leads_to.file_type();
    }
    if kind.is_dir() {
        Ok(Some(Place { key: format!("{directory}{name}/"), is_directory: true }))
    } else if kind.is_file() {
        Ok(Some(Place { key: format!("{directory}{name}"), is_directory: false }))
    } else {
        Ok(None)
    }
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
