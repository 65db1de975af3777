//! What a file is read back as, by Avro's own library for Rust; and what it promises about memory and digests.

use apache_avro::Reader;
use apache_avro::types::Value;
use proptest::prelude::*;

use super::*;

const BYTES: &str = r#""bytes""#;
const SYNC: [u8; 16] = *b"0123456789abcdef";

const CODECS: [Codec; 8] = [
    Codec::Null,
    Codec::Snappy,
    Codec::Deflate(1),
    Codec::Deflate(6),
    Codec::Deflate(12),
    Codec::Zstd(1),
    Codec::Zstd(3),
    Codec::Zstd(19),
];

/// The datum of a value of the schema `"bytes"`.
fn datum(value: &[u8]) -> Vec<u8> {
    let mut datum = Vec::new();
    put_long(&mut datum, value.len() as u64);
    datum.extend_from_slice(value);
    datum
}

fn filled(datums: &[Vec<u8>], compressor: &mut Compressor) -> OpenFile {
    let mut file = OpenFile::new(1);
    for datum in datums {
        file.append(datum, compressor);
    }
    file
}

fn file_of(datums: &[Vec<u8>], schema: &str, codec: Codec) -> Vec<u8> {
    let mut compressor = Compressor::new(codec);
    let mut file = filled(datums, &mut compressor);
    file.close(&mut compressor);
    file.into_body(&Header { schema, codec, metadata: &[], sync: SYNC }).pieces().concat()
}

fn read(file: &[u8]) -> Vec<Value> {
    Reader::new(file).expect("a header").map(|value| value.expect("a row")).collect()
}

/// Values of every kind of length: nothing, ordinary, longer than a block; compressible and not.
fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let len = prop_oneof![
        3 => Just(0_usize),
        20 => 1..400_usize,
        3 => 10_000..50_000_usize,
        1 => (BLOCK_BYTES - 20)..(BLOCK_BYTES + 20),
        1 => 100_000..300_000_usize,
    ];
    let value = (len, any::<u64>(), any::<bool>()).prop_map(|(len, seed, random)| {
        let mut state = seed | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if random { (state >> 32) as u8 } else { (seed % 250) as u8 }
        };
        (0..len).map(|_| next()).collect::<Vec<u8>>()
    });
    prop::collection::vec(value, 0..50)
}

impl OpenFile {
    /// What [`Self::capacity`] should be, counted anew.
    pub(crate) fn recount(&self) -> usize {
        self.block.capacity() + self.blocks.recount() + self.markers.capacity() * 8
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn given_any_values_and_codec_then_they_are_read_back_in_order(values in values()) {
        let datums: Vec<_> = values.iter().map(|value| datum(value)).collect();
        let expected: Vec<_> = values.into_iter().map(Value::Bytes).collect();
        for codec in CODECS {
            prop_assert!(read(&file_of(&datums, BYTES, codec)) == expected, "{codec}");
        }
    }

    #[test]
    fn given_any_appends_then_the_capacity_is_that_of_the_buffers(values in values(), codec in 0..CODECS.len()) {
        let mut compressor = Compressor::new(CODECS[codec]);
        let mut file = OpenFile::new(1);
        prop_assert_eq!(file.capacity(), 0);
        for value in values {
            file.append(&datum(&value), &mut compressor);
            prop_assert_eq!(file.capacity(), file.recount());
            prop_assert!(file.block.capacity() <= BLOCK_BYTES);
            prop_assert!(file.pending() <= BLOCK_BYTES);
        }
        file.close(&mut compressor);
        prop_assert_eq!(file.capacity(), file.recount());
        prop_assert_eq!(file.block.capacity(), 0);
    }

    #[test]
    fn given_the_same_datums_then_the_digest_is_the_same_under_every_codec(values in values()) {
        let datums: Vec<_> = values.iter().map(|value| datum(value)).collect();
        let plain = filled(&datums, &mut Compressor::new(Codec::Null)).digest();
        for codec in [Codec::Snappy, Codec::Deflate(1), Codec::Zstd(1)] {
            let mut compressor = Compressor::new(codec);
            let mut file = filled(&datums, &mut compressor);
            prop_assert_eq!(file.digest(), plain);
            file.close(&mut compressor);
            prop_assert_eq!(file.digest(), plain);
        }
    }

    #[test]
    fn given_a_changed_or_swapped_or_missing_or_further_datum_then_the_digest_differs(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20),
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let digest = |values: &[Vec<u8>]| filled(values, &mut Compressor::new(Codec::Null)).digest();
        let ours = digest(&values);
        let (at, other) = (at.index(values.len()), other.index(values.len()));

        let mut changed = values.clone();
        changed[at].push(0);
        prop_assert_ne!(digest(&changed), ours);

        let mut swapped = values.clone();
        swapped.swap(at, other);
        prop_assert_eq!(digest(&swapped) == ours, values[at] == values[other]);

        let mut missing = values.clone();
        missing.remove(at);
        prop_assert_ne!(digest(&missing), ours);

        let mut further = values.clone();
        further.push(Vec::new());
        prop_assert_ne!(digest(&further), ours);
    }

    #[test]
    fn given_a_compressor_that_was_used_before_then_the_file_is_the_same_bytes(
        before in values(), values in values(), codec in 0..CODECS.len(),
    ) {
        let codec = CODECS[codec];
        let datums: Vec<_> = values.iter().map(|value| datum(value)).collect();
        let mut used = Compressor::new(codec);
        filled(&before, &mut used).close(&mut used);
        let mut file = filled(&datums, &mut used);
        file.close(&mut used);
        let header = Header { schema: BYTES, codec, metadata: &[], sync: SYNC };
        prop_assert!(file.into_body(&header).pieces().concat() == file_of(&datums, BYTES, codec));
    }
}

#[test]
fn given_datums_of_no_bytes_then_they_are_rows() {
    let schema = r#"{"type":"record","name":"Nothing","fields":[]}"#;
    for codec in CODECS {
        let rows = read(&file_of(&vec![Vec::new(); 100_000], schema, codec));
        assert_eq!(rows.len(), 100_000, "{codec}");
        assert_eq!(rows[99_999], Value::Record(Vec::new()), "{codec}");
    }
}

#[test]
fn given_no_datum_then_the_file_is_its_header() {
    for codec in CODECS {
        let file = file_of(&[], BYTES, codec);
        let header = Header { schema: BYTES, codec, metadata: &[], sync: SYNC };
        assert_eq!(file, header.encode());
        assert_eq!(read(&file), []);
    }
}

#[test]
fn given_metadata_then_it_is_read_back_and_the_schema_is_verbatim() {
    let schema = "{ \"type\" : \"bytes\",\n \"doc\": \"ä — kept\" }";
    let metadata = [
        ("valve.topic", "orders".to_owned()),
        ("valve.note", "ü".repeat(100)),
        ("valve.empty", String::new()),
    ];
    let header = Header { schema, codec: Codec::Zstd(3), metadata: &metadata, sync: SYNC };
    let body = OpenFile::new(1).into_body(&header);
    let file = body.pieces().concat();
    assert!(file.windows(schema.len()).any(|window| window == schema.as_bytes()));
    let reader = Reader::new(&file[..]).expect("a header");
    assert_eq!(reader.user_metadata().len(), 3);
    for (name, value) in &metadata {
        assert_eq!(reader.user_metadata().get(*name).map(Vec::as_slice), Some(value.as_bytes()));
    }
}

#[test]
fn given_a_header_then_its_length_is_as_stated() {
    let metadata = [("valve.topic", "orders".to_owned())];
    for count in 0..=1 {
        let header = Header { schema: BYTES, codec: Codec::Null, metadata: &metadata[..count], sync: SYNC };
        let len = header.encode().len();
        assert!((len..len + 100).contains(&header.encoded_len()), "{len}");
    }
}

#[test]
fn given_two_rows_then_the_bytes_are_those_of_the_specification() {
    let file = file_of(&[datum(b"a"), datum(b"bc")], BYTES, Codec::Null);
    let mut expected = b"Obj\x01\x04\x16avro.schema\x0e\"bytes\"\x14avro.codec\x08null\x00".to_vec();
    expected.extend(SYNC);
    expected.extend(b"\x04\x0a\x02a\x04bc");
    expected.extend(SYNC);
    assert_eq!(file, expected);
}

#[test]
fn given_a_huge_datum_then_its_memory_is_given_back() {
    for codec in CODECS {
        let mut compressor = Compressor::new(codec);
        let ordinary = compressor.memory();
        let mut file = OpenFile::new(1);
        file.append(&vec![0; 16 << 20], &mut compressor);
        assert!(file.block.capacity() <= BLOCK_BYTES, "{codec}");
        assert!(compressor.memory() <= ordinary, "{codec}: {} then {}", ordinary, compressor.memory());
        let held = file.capacity() as u64;
        assert!(held <= file.compressed() + (256 << 10) + 10_000, "{codec}: {held}");
    }
}

#[test]
fn given_many_large_datums_that_compress_well_then_little_more_is_held_than_they_come_to() {
    let datum: Vec<u8> = (0..200_000_u32).map(|n| (n / 100 * 37) as u8).collect();
    for codec in CODECS {
        let mut compressor = Compressor::new(codec);
        let file = filled(&vec![datum.clone(); 50], &mut compressor);
        let held = file.capacity() as u64;
        assert!(
            held <= file.compressed() / 4 * 5 + (256 << 10) + 10_000,
            "{codec}: {held} for {}",
            file.compressed()
        );
    }
}

/// Rows are read back in their order: the digest stands on it.
#[test]
fn given_empty_datums_before_one_that_is_just_a_block_then_theirs_comes_first() {
    let mut compressor = Compressor::new(Codec::Null);
    let mut file = filled(&[vec![], vec![], vec![7; BLOCK_BYTES]], &mut compressor);
    let blocks = file.take_blocks(&SYNC).concat();
    // Two rows of no bytes.
    assert!(blocks.starts_with(&[&[4, 0][..], &SYNC].concat()), "{:?}", &blocks[..20]);
    assert_eq!(file.pending(), 0);
}

#[test]
fn given_one_small_datum_then_little_is_held() {
    let mut compressor = Compressor::new(Codec::Snappy);
    let file = filled(&[vec![0; 300]], &mut compressor);
    assert_eq!((file.capacity(), file.pending(), file.compressed()), (FIRST_BUFFER, 300, 0));
    assert!(size_of::<OpenFile>() <= 256, "{}", size_of::<OpenFile>());
}

#[test]
fn given_the_segments_of_a_file_then_its_body_has_the_same_memory() {
    let mut compressor = Compressor::new(Codec::Null);
    let mut file = filled(&vec![vec![5; 1000]; 1000], &mut compressor);
    file.close(&mut compressor);
    let addresses: Vec<_> = file.blocks.addresses();
    let body = file.into_body(&Header { schema: BYTES, codec: Codec::Null, metadata: &[], sync: SYNC });
    assert_eq!(body.pieces()[1..].iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>(), addresses);
}

#[test]
fn given_a_known_sequence_then_the_digest_is_the_documented_chain() {
    // `python -c` with PyPI's xxhash: see the module's documentation for the formula.
    let mut compressor = Compressor::new(Codec::Null);
    let file = filled(&[b"one".to_vec(), b"two".to_vec()], &mut compressor);
    assert_eq!(file.digest().to_string(), "dda963b41b45b89994cc955146618ce9");
}

#[test]
#[should_panic(expected = "a file is closed before it becomes a body")]
fn given_a_file_that_is_not_closed_then_no_row_is_lost_silently() {
    let file = filled(&[datum(b"a")], &mut Compressor::new(Codec::Null));
    let header = Header { schema: BYTES, codec: Codec::Null, metadata: &[], sync: SYNC };
    assert!(file.into_body(&header).is_empty(), "not reached");
}
