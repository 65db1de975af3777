//! What fuzzing begins with, where a random input would hardly be found: whole values of each kind, and bombs. Written to
//! `fuzz/corpus` by `cargo test --lib fuzzing::seeds -- --ignored`; what fuzzing adds to them lies beside them.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use uuid::Uuid;

use super::datums::SCHEMAS;
use crate::avro::codec::Codec;
use crate::core::intent::{Coverage, Intent, Layout, Metadata, Place};
use crate::core::layout::{DEFAULT_KEY, Granularity, NullPolicy};
use crate::dead_letter::envelope::{Envelope, letter_at};
use crate::dead_letter::original::Elsewhere;
use crate::types::{Offset, SchemaId, UnixMillis};

type Seeds = Vec<Vec<u8>>;

#[test]
#[ignore = "writes fuzz/corpus"]
fn write_the_seeds() {
    let kinds: [(&str, Seeds); 12] = [
        ("config", config()),
        ("datum", datum()),
        ("header", header()),
        ("intent", intent()),
        ("key", key()),
        ("letter", letter()),
        ("original", original()),
        ("page", page()),
        ("registry", registry()),
        ("schema", schema()),
        ("telemetry", telemetry()),
        (
            "wire",
            vec![
                vec![],
                vec![0],
                vec![1, 2],
                vec![0, 0, 0, 0, 7],
                vec![0, 255, 255, 255, 255, 1],
                vec![9; 5],
            ],
        ),
    ];
    for (target, seeds) in kinds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
        }
    }
}

fn texts<const N: usize>(texts: [&str; N]) -> Seeds {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn config() -> Seeds {
    let shipped = ["holding-tank", "archive"].map(|name| {
        let path = format!("{}/config/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        format!("0{}", lines.collect::<Vec<_>>().join("\n")).into_bytes()
    });
    let more = texts([
        "0",
        "1{\"name\":\"a\",\"topics\":[\"a\",\"b\"],\"sink\":{\"type\":\"local\",\"path\":\"/d\"}}",
        "0name='archive'\ntopics='^[^_].*'\ntimestamp=['field:a.b@ms','kafka']\nsink.bucket='events'",
        "0[kafka.properties]\n'session.timeout.ms'=45000\n'group.id'='x'",
        "0timestamp_range='1970..2100'\nbatch.max_age='10 min'\nmemory.budget='40 %'\ncodec='zstd-3'",
        "0layout.key='{topic}/{year}{month}{day}{hour}/{uuid}'\nlayout.granularity='day'",
        "0sink.prefix='../x'\nname='..'\nregistry.url='http://u:p@h'",
        "0a.b.c.d.e=[[[{a=1}]]]\nd=1979-05-27T07:32:00Z",
    ]);
    shipped.into_iter().chain(more).collect()
}

fn datum() -> Seeds {
    let mut seeds: Seeds =
        (0..7).flat_map(|choice| [vec![choice, 0, 0, 0, 0], vec![choice + 126, 2, 0]]).collect();
    let all = b"\0\x01\x02\x04\0\0\x80\x3f\0\0\0\0\0\0\xf0\x3f\x02\xff\x04ab\x01\x02\x03\x04\x02\x02x\x04\x02\x02k\x02v\0";
    let tree = b"\x01\x02a\x02\x02b\0\0\0\0\x01\x02\x02c\0\0\0\0";
    let blocks = b"\x04\x01\x14\x02\0\0\0\0\0\0\xf0\x3f\0\0\x02\x02k\x02\x06\0\0";
    seeds.extend([all.to_vec(), tree.to_vec(), blocks.to_vec(), b"\x03\x80\x80\x08\0\x02\0\x02\0".to_vec()]);
    // Lengths of a terabyte, the least long, eleven bytes of a varint.
    seeds.push(b"\0\x01\x02\x04\0\0\x80\x3f\0\0\0\0\0\0\xf0\x3f\x80\x80\x80\x80\x80\x40".to_vec());
    seeds.push(b"\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec());
    seeds.push(b"\x03\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01".to_vec());
    seeds
}

fn schema() -> Seeds {
    let small = SCHEMAS[..5].iter().map(|text| [text.replace('\n', "").as_bytes(), &[0], &[2; 9]].concat());
    let nested =
        |begin: &str, end: &str, times: usize| format!("{}\"int\"{}", begin.repeat(times), end.repeat(times));
    let field = |schema: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f0","type":{schema}}}]}}"#)
    };
    let symbols: Vec<_> = (0..300).map(|number| format!("\"S{number}\"")).collect();
    let bombs = [
        field(&nested(r#"{"type":"array","items":"#, "}", 126)),
        field(&nested("[", "]", 100)),
        field(&nested(r#"["null",{"type":"map","values":"#, "}]", 50)),
        field(&format!(r#"{{"type":"enum","name":"E","symbols":[{}]}}"#, symbols.join(","))),
        field(r#"{"type":"fixed","name":"F","size":1099511627776}"#),
        field(r#"{"type":"fixed","name":"F","size":2147483647}"#),
        field(r#"{"type":"record","name":"../../etc/passwd","fields":[]}"#),
        field(r#"{"type":"record","name":"a..b","namespace":"x/y","fields":[]}"#),
        field(r#"["null","R",{"type":"array","items":"R"},{"type":"map","values":["R","null"]}]"#),
        field(r#"{"type":"long","logicalType":"timestamp-micros"}"#),
        field(r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":9}"#),
        r#"{"type":"record","name":"A","fields":[{"name":"a","type":{"type":"record","name":"B","fields":[{"name":"c","type":{"type":"record","name":"C","fields":[]},"default":{}},{"name":"d","type":"C"}]}},{"name":"b","type":"B","default":{}}],"aliases":["x","y.z"],"doc":"\u0000\u001b"}"#.to_owned(),
        r#"[{"type":"record","name":"A","namespace":"n","fields":[]},{"type":"error","name":"B","namespace":"","fields":[{"name":"a","type":"n.A"}]}]"#.to_owned(),
    ];
    let pairs = crate::avro::schema::weightless::tests::doubled(30);
    small.chain(bombs.into_iter().chain([pairs]).map(String::into_bytes)).collect()
}

fn metadata(intent: Option<Intent>) -> Metadata {
    Metadata {
        topic_id: Some(7),
        partition: 3,
        first: Offset(100),
        origin: Offset(0),
        partitions_at_start: Some(8),
        coverage: Coverage { lost: vec![(Offset(4), Offset(9))], ..Coverage::starting(Offset(90)) },
        intent,
    }
}

fn promised(place: Place, prefix: &str, key: &str) -> Intent {
    let layout = Layout {
        timestamp: vec!["field:f0@ms".to_owned(), "kafka".to_owned()],
        years: (1970, 2100),
        key: key.to_owned(),
        granularity: Granularity::Hour,
        prefix: prefix.to_owned(),
        nulls: NullPolicy::Skip,
        read_committed: true,
        place,
        max_record_bytes: 16 << 20,
        codec: Codec::Snappy,
    };
    Intent {
        end: Offset(200),
        instant: UnixMillis(1_700_000_000_000),
        rules: 1,
        layout,
        unknown_ids: vec![SchemaId(8)],
        outcome: 5,
    }
}

fn intent() -> Seeds {
    let s3 = || Place::S3 { bucket: "events".to_owned(), endpoint: Some("http://s3:9000".to_owned()) };
    let local = Place::Local { path: "/data".to_owned() };
    let all = [
        metadata(None),
        metadata(Some(promised(s3(), "tank", DEFAULT_KEY))),
        metadata(Some(promised(local, "", "{topic}/{year}/{month}/{day}/{hour}/{uuid}"))),
        metadata(Some(promised(s3(), "../..", DEFAULT_KEY))),
        metadata(Some(promised(s3(), "a\u{1b}[2J\n", DEFAULT_KEY))),
        Metadata { first: Offset(i64::MIN), origin: Offset(i64::MAX), ..metadata(None) },
    ];
    let choices = [0, 2, 32, 40, 44, 60, 254];
    let texts = all.iter().zip(choices).map(|(own, choice)| [&[choice], own.encode().as_bytes()].concat());
    // An odd first byte: what the text encodes, which fuzzing changes more easily.
    let raw = all
        .iter()
        .zip(choices)
        .map(|(own, choice)| [vec![choice + 1], postcard::to_stdvec(own).unwrap()].concat());
    texts
        .chain(raw)
        .chain(crate::fuzzing::seeds::texts(["\0v2:AAAA", "\0v1:", "\0", "\0OffsetSync"]))
        .collect()
}

fn header() -> Seeds {
    let own = crate::stored::tests::own_file("orders", "2026-11-23T07").pieces().concat();
    let with = |part: u8, bytes: &[u8]| [&[part], bytes].concat();
    vec![
        with(255, &own),
        with(128, &own),
        with(128, &own[..own.len() - 20]),
        with(9, b"Obj\x01\x04\x16avro.schema\x0e\"bytes\"\x14avro.codec\x08null\0aaaaaaaaaaaaaaaa"),
        with(9, b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x02a\x80\x80\x80\x80\x80\x40"),
        with(0, b"year,month\n"),
    ]
}

fn key() -> Seeds {
    texts([
        "{topic}/year={year}/month={month}/day={day}/hour={hour}/{topic}_{count}-messages_{uuid}.avro\ntank/a\norders\n7",
        "{year}-{month}-{day}/{hour}{uuid}\n\n..\n-1",
        "{topic}{topic}/{year}{month}{day}{hour}{uuid}\n../x\na.b_c-d\n9",
        ".{year}{month}{day}{hour}{uuid}./..{topic}\na/b/c\n.\n123456",
        "{uuid}/{count}/{hour}/{day}/{month}/{year}\nprefix\na\n0",
        "{uid}\n/\n\n",
        "a/../../etc/passwd",
        "/etc/passwd",
        "a/./b//c/.x.tmp",
        "{topic}{topic}{topic}{topic}{topic}{topic}/{year}{month}{day}{hour}{uuid}\np\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n1",
    ])
}

fn letter() -> Seeds {
    let now = UnixMillis(1_763_726_400_007);
    let mut large = letter_at(17);
    large.attempts.count = u32::MAX;
    let key = "tank/_dead_letters/orders/x.avro".to_owned();
    let place = Elsewhere { place: "s3://events".to_owned(), key, bytes: u64::MAX };
    let hostile = Envelope {
        exception: "\u{1b}]0;title\u{7}\r\n".to_owned(),
        topic: "../__consumer_offsets".to_owned(),
        ..Envelope::new(&letter_at(i64::MAX), "archive", now)
    };
    let mut seeds: Seeds = [
        Envelope::new(&letter_at(17), "archive", now),
        Envelope::pointing(&large, "archive", UnixMillis(i64::MIN), place),
        hostile,
    ]
    .map(|letter| letter.to_json())
    .to_vec();
    seeds.extend(texts(["{}", "null", "[[[[[[[[", "{\"message\":\"%\"}"]));
    seeds
}

fn original() -> Seeds {
    let mut empty = letter_at(1);
    (empty.key, empty.value) = (None, Some(Bytes::new()));
    empty.headers.clear();
    let file = |letter| crate::dead_letter::original::tests::file(letter, Uuid::nil());
    let letter = letter_at(17);
    let whole = file(&letter);
    let deflate =
        b"Obj\x01\x04\x16avro.schema\x0e\"bytes\"\x14avro.codec\x0edeflate\0aaaaaaaaaaaaaaaa\x02\x02\0";
    vec![
        whole.clone(),
        file(&empty),
        whole[..whole.len() - 17].to_vec(),
        b"Obj\x01".to_vec(),
        deflate.to_vec(),
        b"Obj\x01\x04\x16avro.schema\x0e\"bytes\"\x14avro.codec\x08null\0aaaaaaaaaaaaaaaa\x80\x80\x80\x80\x80\x40\x02".to_vec(),
        Vec::new(),
    ]
}

fn registry() -> Seeds {
    let record = r#"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f0\",\"type\":\"n.E\"}]}"#;
    let part = r#"{\"type\":\"enum\",\"name\":\"E\",\"namespace\":\"n\",\"symbols\":[\"A\"]}"#;
    let reference = r#"{"name":"n.E","subject":"e","version":1}"#;
    let whole =
        format!("2{{\"schema\":\"{record}\",\"references\":[{reference}]}}\n2{{\"schema\":\"{part}\"}}");
    let alone = format!("2{{\"schema\":\"{}\"}}", record.replace("n.E", "long"));
    let circle = format!("2{{\"schema\":\"{record}\",\"references\":[{reference}]}}\n").repeat(3);
    let many: Vec<_> =
        (0..40).map(|number| format!(r#"{{"name":"n{number}","subject":"s","version":{number}}}"#)).collect();
    let many = format!("2{{\"schema\":\"{record}\",\"references\":[{}]}}", many.join(","));
    let mut seeds: Seeds = [whole, alone, circle, many].map(String::into_bytes).to_vec();
    seeds.extend(texts([
        "4{\"error_code\":40403,\"message\":\"Schema not found\"}",
        "4{\"error_code\":404}",
        "5<html>",
        "3",
        "2[\"orders-value\",\":.c:x-value\",\"-value\"]",
        "2{\"schema\":\"message M {}\",\"schemaType\":\"PROTOBUF\"}",
        "2{\"schema\":\"\",\"references\":[{\"name\":\"../x\",\"subject\":\"a/../b\",\"version\":-1}]}",
    ]));
    seeds
}

fn page() -> Seeds {
    texts([
        "archive\0orders\0it doesn't answer",
        "a\0<script>alert(1)</script>\0</script><img src=x onerror=alert(1)>&amp;",
        "\"}],\"\0__proto__\0\\u0000\\",
        "\u{9b}31m\0\u{1b}]0;title\u{7}\0a\r\nready\n",
        "\u{2028}\0\u{feff}\u{202e}\0\u{85}\u{7f}",
        "\0\0",
    ])
}

fn telemetry() -> Seeds {
    texts([
        "orders\0it doesn't answer",
        "a\"b\\c\nd\0\"}\n# x",
        "a|c|#b,c:d\0a|c|#b,c:d",
        "\u{1b}[31mred\0\r\n2026-11-23T07:00:00Z ERROR",
        "\0",
        "\u{202e}abc\u{85}\u{2028}\0\u{9b}31m",
        "\",\"x\":\"\0{\"a\":1}",
    ])
}
