//! How often schedules came to where it gets interesting: a simulation that never does proves nothing.

macro_rules! counters {
    ($($name:ident at least $least:literal),* $(,)?) => {
        /// One number for each state.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Seen {
            $(pub(super) $name: u64,)*
        }

        impl Seen {
            pub(super) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Each state with how often it was reached, and how often 100,000 schedules must reach it.
            pub(super) fn counts(&self) -> Vec<(&'static str, u64, u64)> {
                vec![$((stringify!($name), self.$name, $least)),*]
            }
        }
    };
}

counters! {
    schedules at least 1,
    turns at least 1,
    records at least 1,
    batches at least 100_000,
    promises at least 100_000,
    without_rows at least 10_000,
    takeovers at least 10_000,
    takeovers_half_published at least 1_000,
    other_layouts at least 1_000,
    revocations at least 10_000,
    rejoins at least 1_000,
    zombies at least 1_000,
    fenced at least 1_000,
    late_puts at least 1_000,
    late_answers at least 1_000,
    equal_puts at least 1_000,
    failed_puts at least 1_000,
    unanswered at least 1_000,
    unanswered_applied at least 1_000,
    conflicts at least 100,
    crashes at least 10_000,
    left at least 1_000,
    out_of_range at least 1_000,
    lost_ranges at least 1_000,
    lost_reported at least 1_000,
    recreated at least 1_000,
    expired at least 1_000,
    grown at least 1_000,
    shortened at least 1_000,
    compacted at least 1_000,
    held_at_the_end at least 100,
}
