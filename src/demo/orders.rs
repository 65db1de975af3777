//! The topic `orders`: three versions of a schema side by side, and timestamps as ISO 8601 text.

use chrono::{DateTime, FixedOffset, SecondsFormat};

use super::datum::Datum;
use super::draws::Draws;
use crate::types::UnixMillis;

/// The topic's name.
pub(super) const TOPIC: &str = "orders";

/// The schema's versions, oldest first, as they are registered.
pub(super) const SCHEMAS: [&str; 3] = [
    include_str!("schemas/order-v1.avsc"),
    include_str!("schemas/order-v2.avsc"),
    include_str!("schemas/order-v3.avsc"),
];

/// The field that says when, as the setting `timestamp` names it.
pub(super) const TIMESTAMP: &str = "placed_at";

const MILLIS_PER_DAY: i64 = 86_400_000;

/// An order, numbered `seq`, of the schema `version` (0 to 2) with the registry's `id`.
pub(super) fn order(seq: u64, version: usize, id: u32, at: Option<UnixMillis>, draws: &mut Draws) -> Vec<u8> {
    let mut datum = Datum::new(id);
    datum.long(seq.cast_signed());
    datum.string(uuid::Builder::from_random_bytes(random_bytes(draws)).into_uuid().to_string());
    datum.optional(at, |datum, at| {
        datum.string(iso(at, draws));
    });
    datum.long(draws.below(4));
    customer(&mut datum, draws);
    // Two's complement, big-endian, with the sign in the first bit: up to 10,485.75.
    datum.string(&draws.below(0x10_0000).to_be_bytes()[1..]);
    let items = 1 + draws.below(3);
    datum.block(items, |datum, _| item(datum, draws));
    if version >= 1 {
        datum.long(draws.below(3));
        let coupon = draws.percent(20).then(|| draws.of(["SPRING-10", "WELCOME", "FREE-SHIPPING"]));
        datum.optional(coupon, |datum, coupon| {
            datum.string(coupon);
        });
    }
    if version >= 2 {
        labels_and_delivery(&mut datum, at, draws);
    }
    datum.into_value()
}

fn random_bytes(draws: &mut Draws) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&draws.next().to_le_bytes());
    bytes[8..].copy_from_slice(&draws.next().to_le_bytes());
    bytes
}

/// In UTC, or as a shop in Berlin or New York would write it.
fn iso(at: UnixMillis, draws: &mut Draws) -> String {
    let hours = draws.of([0, 0, 2, -4]);
    let zone = FixedOffset::east_opt(hours * 3600);
    match (DateTime::from_timestamp_millis(at.0), zone) {
        (Some(at), Some(zone)) => at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, true),
        _ => "beyond the calendar".to_owned(),
    }
}

fn customer(datum: &mut Datum, draws: &mut Draws) {
    let name =
        draws.of(["Ada Lindqvist", "Jörg Weiß", "María Núñez", "Chidi Okafor", "林 美玲", "Sam O'Neil"]);
    let id = draws.below(90_000);
    datum.long(10_000 + id).string(name);
    let email = draws.percent(70).then(|| format!("customer{id}@example.com"));
    datum.optional(email, |datum, email| {
        datum.string(email);
    });
}

fn item(datum: &mut Datum, draws: &mut Draws) {
    let sku = draws.of(["KETTLE-17", "LAMP-OAK", "MUG-BLUE", "CHAIR-02", "POSTER-A2"]);
    datum.string(sku).long(1 + draws.below(5)).long(199 + draws.below(20_000));
}

fn labels_and_delivery(datum: &mut Datum, at: Option<UnixMillis>, draws: &mut Draws) {
    let labels = [("channel", ["web", "app", "phone"]), ("gift", ["no", "wrapped", "card"])];
    let count = draws.below(3);
    datum.block(count, |datum, index| {
        let (name, values) = labels[index as usize % labels.len()];
        datum.string(name).string(draws.of(values));
    });
    let days = at.unwrap_or_default().0.div_euclid(MILLIS_PER_DAY) + 2;
    let delivery = draws.percent(60).then(|| draws.of(["Blue Van", "Parcel & Sons"]));
    datum.optional(delivery, |datum, carrier| {
        datum.string(carrier).boolean(draws.percent(25)).long(days);
    });
}
