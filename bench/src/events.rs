//! The events that everything is measured with: 12 fields, about 270 bytes, in the Confluent wire format.
//!
//! Event `i` of a seed is always the same bytes, whoever makes it and whichever came before.

use std::str::FromStr;

/// The schema, as it is registered.
pub const SCHEMA: &str = include_str!("../event.avsc");

/// 2024-03-10T00:00:00Z, where the events' time begins, in milliseconds since 1970.
pub const BEGIN: i64 = 1_710_028_800_000;
const HOUR: i64 = 3_600_000;

const AGENTS: [&str; 8] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile Safari",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile",
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5",
    "ShopApp/7.41.2 (Android 13; SM-G991B; build 70412) okhttp/4.12.0 channel/stable",
    "ShopApp/7.40.0 (iOS 17.4.1; iPhone14,5; build 70400) CFNetwork/1494 Darwin/23.4",
];
const COUNTRIES: [&str; 8] = ["DE", "FR", "PL", "US", "BR", "IN", "JP", "ZA"];
const SECTIONS: [&str; 4] = ["garden-tools", "kitchen", "bicycles", "books-used"];
const CAMPAIGNS: [&str; 4] = ["spring", "retargeting", "newsletter", "none"];

/// The draws of the event that repetitive ones repeat.
const REPEATED: u64 = 8;

/// Which times the events have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other.
    InOrder,
    /// Any hour as likely as any other.
    Shuffled,
    /// In order, but one in a hundred is late by one to six hours.
    Late,
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "in-order" => Ok(Self::InOrder),
            "shuffled" => Ok(Self::Shuffled),
            "late" => Ok(Self::Late),
            _ => Err(format!("\"{text}\" is none of in-order, shuffled, late")),
        }
    }
}

/// Which events are made.
#[derive(Clone, Debug)]
pub struct Events {
    /// How many.
    pub count: u64,
    /// Over how many hours.
    pub hours: u32,
    /// When each happened.
    pub order: Order,
    /// Whether they are nearly the same, so that a topic of them compresses 20:1.
    pub repetitive: bool,
    /// The ids of their schemas, taken in turn by chance.
    pub schemas: Vec<u32>,
    /// Other draws with another seed.
    pub seed: u64,
}

/// Draws that follow from a number alone (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

impl Events {
    /// Makes `value` event `index`, with its wire header.
    pub fn write(&self, index: u64, value: &mut Vec<u8>) {
        value.clear();
        let mut draws = Draws(self.seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        let schema = self.schemas[draws.below(self.schemas.len() as u64) as usize];
        value.push(0);
        value.extend_from_slice(&schema.to_be_bytes());
        let at = self.at(index, &mut draws);
        if self.repetitive {
            let mut same = Draws(REPEATED);
            put_string(value, &[b"event-", &digits(index)]);
            put_fields(value, at, &mut same);
        } else {
            put_string(value, &[&hex(draws.next()), b"-", &hex(draws.next()), b"-v7"]);
            put_fields(value, at, &mut draws);
        }
    }

    /// When event `index` happened, in milliseconds since 1970.
    fn at(&self, index: u64, draws: &mut Draws) -> i64 {
        let span = u64::from(self.hours) * HOUR as u64;
        let in_order = (u128::from(index) * u128::from(span) / u128::from(self.count.max(1))) as i64;
        let chance = draws.below(100);
        let drawn = draws.next();
        BEGIN
            + match self.order {
                Order::InOrder => in_order,
                Order::Shuffled => (drawn % span) as i64,
                Order::Late if chance == 0 => in_order - HOUR - (drawn % (5 * HOUR as u64)) as i64,
                Order::Late => in_order,
            }
    }
}

/// All fields behind the first.
fn put_fields(value: &mut Vec<u8>, at: i64, draws: &mut Draws) {
    put_long(value, at);
    put_long(value, draws.below(50_000_000) as i64);
    put_string(value, &[&hex(draws.next()), &hex(draws.next())]);
    put_long(value, draws.below(5) as i64);
    put_string(
        value,
        &[b"/shop/", draws.one_of(&SECTIONS).as_bytes(), b"/item/", &digits(draws.below(9_999_999))],
    );
    if draws.below(2) == 0 {
        put_long(value, 0);
    } else {
        put_long(value, 1);
        put_string(value, &[b"https://search.example/?q=", draws.one_of(&SECTIONS).as_bytes()]);
    }
    put_string(value, &[draws.one_of(&AGENTS).as_bytes()]);
    put_string(value, &[draws.one_of(&COUNTRIES).as_bytes()]);
    value.extend_from_slice(&(draws.below(100_000) as f64 / 100.0).to_le_bytes());
    put_long(value, draws.below(9) as i64);
    put_long(value, 2);
    put_string(value, &[b"campaign"]);
    put_string(value, &[draws.one_of(&CAMPAIGNS).as_bytes()]);
    put_string(value, &[b"variant"]);
    put_string(value, &[b"checkout-", &hex(draws.next())[..1]]);
    put_long(value, 0);
}

/// An Avro int, long, enum index or branch index.
fn put_long(value: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        value.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    value.push(rest as u8);
}

/// An Avro string, of these parts.
fn put_string(value: &mut Vec<u8>, parts: &[&[u8]]) {
    put_long(value, parts.iter().map(|part| part.len()).sum::<usize>() as i64);
    parts.iter().for_each(|part| value.extend_from_slice(part));
}

fn hex(number: u64) -> [u8; 16] {
    std::array::from_fn(|digit| b"0123456789abcdef"[(number >> (60 - 4 * digit)) as usize & 15])
}

fn digits(number: u64) -> [u8; 12] {
    let mut rest = number;
    let mut digits = [b'0'; 12];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use apache_avro::reader::datum::GenericDatumReader;

    use super::*;

    fn events(order: Order, hours: u32, repetitive: bool) -> Events {
        Events { count: 20_000, hours, order, repetitive, schemas: vec![7, 8], seed: 1 }
    }

    fn values(events: &Events) -> Vec<Vec<u8>> {
        let mut value = Vec::new();
        let write = |index| {
            events.write(index, &mut value);
            value.clone()
        };
        (0..events.count).map(write).collect()
    }

    /// The hours since [`BEGIN`] of all events, read by apache-avro.
    fn hours(events: &Events) -> Vec<i64> {
        let schema = apache_avro::Schema::parse_str(SCHEMA).unwrap();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let hour = |value: Vec<u8>| {
            let mut datum = &value[5..];
            let read = reader.read_value(&mut datum).unwrap();
            assert!(datum.is_empty(), "the datum ends with its last field");
            let apache_avro::types::Value::Record(fields) = read else { panic!("a record") };
            let apache_avro::types::Value::TimestampMillis(at) = fields[1].1 else { panic!("a timestamp") };
            (at - BEGIN).div_euclid(HOUR)
        };
        values(events).into_iter().map(hour).collect()
    }

    #[test]
    fn given_either_kind_of_events_then_they_have_about_270_bytes_and_both_schemas() {
        for repetitive in [false, true] {
            let values = values(&events(Order::InOrder, 24, repetitive));
            let mean = values.iter().map(Vec::len).sum::<usize>() / values.len();
            assert!((265..=275).contains(&mean), "{mean} bytes");
            let ids: BTreeSet<_> = values.iter().map(|value| value[..5].to_vec()).collect();
            assert_eq!(ids, [vec![0, 0, 0, 0, 7], vec![0, 0, 0, 0, 8]].into());
        }
    }

    #[test]
    fn given_events_in_order_then_their_hours_ascend_over_the_whole_span() {
        let hours = hours(&events(Order::InOrder, 24, false));
        assert!(hours.is_sorted());
        assert_eq!((hours[0], hours[hours.len() - 1]), (0, 23));
    }

    #[test]
    fn given_shuffled_events_then_every_hour_is_there_and_neighbours_differ() {
        let hours = hours(&events(Order::Shuffled, 200, false));
        assert_eq!(hours.iter().collect::<BTreeSet<_>>().len(), 200);
        let same = hours.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(same < hours.len() / 50, "{same} neighbours share an hour");
    }

    #[test]
    fn given_late_events_then_one_in_a_hundred_is_late_by_one_to_six_hours() {
        let (late, punctual) =
            (hours(&events(Order::Late, 24, false)), hours(&events(Order::InOrder, 24, false)));
        let behind: Vec<_> = late.iter().zip(&punctual).map(|(late, punctual)| punctual - late).collect();
        assert!(behind.iter().all(|hours| (0..=6).contains(hours)));
        let count = behind.iter().filter(|hours| **hours > 0).count();
        assert!((150..=250).contains(&count), "{count} of 20,000 are late");
    }

    #[test]
    fn given_repetitive_events_then_they_compress_by_twenty() {
        let bytes = values(&events(Order::InOrder, 24, true)).concat();
        let compressed = zstd::bulk::compress(&bytes, 3).unwrap();
        assert!(bytes.len() > 20 * compressed.len(), "{} became {}", bytes.len(), compressed.len());
    }

    #[test]
    fn given_a_seed_then_an_event_is_the_same_whenever_it_is_made() {
        let events = events(Order::Shuffled, 200, false);
        let (mut first, mut second) = (Vec::new(), vec![1; 999]);
        events.write(17, &mut first);
        events.write(17, &mut second);
        assert_eq!(first, second);
        Events { seed: 2, ..events }.write(17, &mut second);
        assert_ne!(first, second);
    }
}
