//! The topic `page-views`: one schema, and timestamps in milliseconds inside a nested record.

use super::datum::Datum;
use super::draws::Draws;
use crate::types::UnixMillis;

/// The topic's name.
pub(super) const TOPIC: &str = "page-views";

/// The schema, as it is registered.
pub(super) const SCHEMA: &str = include_str!("schemas/page-view.avsc");

/// The path of the field that says when, as the setting `timestamp` names it.
pub(super) const TIMESTAMP: &str = "visit.at";

const PATHS: [&str; 5] = ["/", "/lamps", "/chairs?sort=price", "/basket", "/help/returns"];

/// A page view, numbered `seq`, of the schema with the registry's `id`.
pub(super) fn page_view(seq: u64, id: u32, at: Option<UnixMillis>, draws: &mut Draws) -> Vec<u8> {
    let mut datum = Datum::new(id);
    datum.long(seq.cast_signed());
    datum.fixed(&draws.next().to_le_bytes());
    datum.optional(at, |datum, at| {
        datum.long(at.0);
    });
    datum.long(1 + draws.below(30));
    datum.string(format!("https://shop.example{}", draws.of(PATHS)));
    let referrer =
        draws.percent(50).then(|| draws.of(["https://search.example/?q=lamp", "https://news.example/"]));
    datum.optional(referrer, |datum, referrer| {
        datum.string(referrer);
    });
    datum.long(draws.below(3));
    datum.double(f64::from(80 + draws.below(4000)) / 1000.0);
    let positions = draws.below(4);
    datum.block(positions, |datum, index| {
        datum.long(400 * (1 + index) + draws.below(400));
    });
    let experiments = draws.below(3);
    datum.block(experiments, |datum, index| {
        let name = ["big-button", "new-search"][index as usize % 2];
        datum.string(name).boolean(draws.percent(50));
    });
    datum.into_value()
}
