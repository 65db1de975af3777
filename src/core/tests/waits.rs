//! What is said of partitions that aren't read from.

use super::*;
use crate::core::view::WaitsFor;

impl Rig {
    /// What the first partition waits for.
    fn waits(&self) -> Option<WaitsFor> {
        self.lane.waits().find(|(partition, _)| *partition == p(0)).map(|(_, waits)| waits)
    }
}

#[test]
fn given_a_partition_that_was_assigned_then_it_waits_for_its_start_until_that_is_committed() {
    let mut rig = Rig::new();
    assert_eq!(rig.waits(), None);
    let ticket = rig.assign(&p(0));
    assert_eq!(rig.waits(), Some(WaitsFor::Start));
    rig.resolve(&p(0), ticket, log(0, 1_000));
    assert_eq!(rig.waits(), Some(WaitsFor::Start));
    rig.accept(&p(0));
    assert_eq!(rig.waits(), None);
}

#[test]
fn given_a_schema_that_is_looked_up_then_it_waits_for_that() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.event(Event::Waiting(p(0), true));
    assert_eq!(rig.waits(), Some(WaitsFor::Schema));
    rig.event(Event::Waiting(p(0), false));
    assert_eq!(rig.waits(), None);
}

#[test]
fn given_two_batches_that_are_being_stored_then_it_waits_for_the_store() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.fill_up(&p(0));
    assert_eq!(rig.waits(), None);
    rig.fill_up(&p(0));
    assert_eq!(rig.waits(), Some(WaitsFor::Store));
}

#[test]
fn given_no_memory_then_it_waits_for_some() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.memory = Memory { used: 90, leaving: 50, limit: 100 };
    rig.tick();
    assert_eq!(rig.waits(), Some(WaitsFor::Memory));
    rig.memory = NO_PRESSURE;
    rig.tick();
    assert_eq!(rig.waits(), None);
}

#[test]
fn given_a_batch_of_another_that_fills_the_lanes_share_then_it_waits_for_its_turn() {
    let mut rig = Rig::with(Settings { share: 150, ..settings() });
    [p(0), p(1)].iter().for_each(|partition| rig.begin(partition));
    rig.take_run(&p(0), Run { records: 2, bytes: 20, memory: 20, ..Run::default() });
    assert!(rig.lane.fill(&p(1), rig.now).is_none());
    assert_eq!(rig.lane.waits().collect::<Vec<_>>(), [(p(1), WaitsFor::Turn)]);
}

#[test]
fn given_nothing_at_its_position_then_it_is_astray() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.event(astray(true));
    assert_eq!(rig.waits(), Some(WaitsFor::Log));
}

#[test]
fn given_a_revocation_then_it_parts_with_what_was_read() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 1);
    rig.revoke(&[p(0)]);
    assert_eq!(rig.waits(), Some(WaitsFor::Parting));
}

#[test]
fn given_other_rows_under_its_keys_then_it_waits_for_a_person() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    rig.promise(&p(0), batch, outcome(FULL));
    assert!(is_held(&rig.refused(&p(0), batch)));
    assert_eq!(rig.waits(), Some(WaitsFor::Owner));
}
