//! Beginnings of objects: anything may lie in a bucket.

use super::assert_sentence;
use crate::avro::codec::Codec;
use crate::avro::container::metadata::MetadataReader;
use crate::avro::container::{Header, MARKER_LEN};
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
    assert_read_back(&String::from_utf8_lossy(object));
}

/// What a header says of a topic of any name, or a file of any key, is read back as that, and nothing else is.
fn assert_read_back(text: &str) {
    let metadata = [("valve.topic", text.to_owned()), ("valve.first_file", text.to_owned())];
    let header = Header { schema: text, codec: Codec::Snappy, metadata: &metadata, sync: [7; MARKER_LEN] };
    let encoded = header.encode();
    let mut rest = &encoded[..];
    let mut reader = MetadataReader::open(&mut rest).expect("a header");
    for (name, value) in
        [("avro.schema", text), ("avro.codec", "snappy"), ("valve.topic", text), ("valve.first_file", text)]
    {
        assert_eq!(reader.next_name().expect("a name").as_deref(), Some(name.as_bytes()));
        assert_eq!(reader.value(u64::MAX).expect("a value"), value.as_bytes());
    }
    assert!(reader.next_name().expect("the map's end").is_none());
    assert_eq!(reader.sync().expect("a marker"), [7; MARKER_LEN]);
    assert!(rest.is_empty());
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
