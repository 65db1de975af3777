//! Beginnings of objects: anything may lie in a bucket.

use super::assert_sentence;
use crate::stored::header::recognise;
use crate::stored::{FileHeader, Recognised};

/// The first byte says how much of the rest is read at first.
pub(super) fn header(data: &[u8]) {
    let Some((part, object)) = data.split_first() else { return };
    let beginning = &object[..object.len() * usize::from(*part) / 255];
    let first = recognise("archive", "a/file.avro", beginning, false);
    let Some(whole) = recognise("archive", "a/file.avro", object, true) else {
        panic!("with all that there is an object is recognised, or it is foreign")
    };
    match &whole {
        Recognised::Own(header) => assert_consistent(header, object.len()),
        Recognised::Broken(why) => assert_sentence(why),
        Recognised::Foreign => {}
    }
    if let Some(first) = first {
        assert_eq!(told(&first), told(&whole), "more bytes make it something else");
    }
}

fn assert_consistent(header: &FileHeader, len: usize) {
    let file = &header.file;
    assert!(file.first < file.end && file.rows <= file.first.distance_to(file.end));
    assert_eq!((file.first, file.partition.partition), (header.promise.first, header.promise.partition));
    assert_eq!(header.promise.encode(), header.metadata);
    assert!(header.container.header_len <= len as u64);
}

fn told(recognised: &Recognised) -> String {
    format!("{recognised:?}")
}
