//! An autoscaler that tracks the published lag, minute by minute: it must bring a backlog to its end, and not flap.
//!
//! The policy is AWS's target tracking as its documentation describes it: out after three minutes above the target, at once
//! as far as the ratio says; in after fifteen minutes below nine tenths of it, one at a time here, and only when every policy
//! agrees; each with a cooldown.

use std::collections::HashMap;

use super::{Lag, measure};
use crate::core::view::Durable;
use crate::types::{Offset, TopicPartition, UnixMillis};

const PARTITIONS: usize = 48;
/// Records a second into each partition, and what one process takes of all its partitions.
const INFLOW: i64 = 8_000;
const CAPACITY: i64 = 300_000;
/// `batch.max_records` and `batch.max_age`.
const BATCH: i64 = 1_000_000;
const BATCH_AGE: i64 = 600;
/// The step of the simulation, how long a process takes to start, and a moved partition to go on, in seconds.
const STEP: i64 = 10;
const START: i64 = 60;
const MOVE: i64 = 20;
/// The targets: 25 batches, and two hours.
pub(crate) const TARGETS: [f64; 2] = [25.0 * BATCH as f64, 7_200.0];

struct Partition {
    committed: i64,
    read: i64,
    batch_began: i64,
    owner: usize,
    stopped_until: i64,
}

struct World {
    now: i64,
    end: i64,
    partitions: Vec<Partition>,
    processes: usize,
    wanted: usize,
    starts_at: i64,
}

impl World {
    fn new(processes: usize) -> Self {
        let partition = |index| Partition {
            committed: 0,
            read: 0,
            batch_began: 0,
            owner: index % processes,
            stopped_until: 0,
        };
        let partitions = (0..PARTITIONS).map(partition).collect();
        Self { now: 0, end: 0, partitions, processes, wanted: processes, starts_at: 0 }
    }

    /// Lets time pass; while there is an outage nothing becomes durable.
    fn step(&mut self, outage: bool) {
        self.now += STEP;
        self.end += INFLOW * STEP;
        if self.wanted != self.processes && self.now >= self.starts_at {
            self.rebalance();
        }
        for process in 0..self.processes {
            let mut owned: Vec<_> = self
                .partitions
                .iter_mut()
                .filter(|partition| partition.owner == process && partition.stopped_until <= self.now)
                .collect();
            let share = CAPACITY * STEP / owned.len().max(1) as i64;
            for partition in &mut owned {
                if outage {
                    continue;
                }
                partition.read = self.end.min(partition.read + share);
                let age = self.now - partition.batch_began;
                if partition.read - partition.committed >= BATCH || age >= BATCH_AGE {
                    (partition.committed, partition.batch_began) = (partition.read, self.now);
                }
            }
        }
    }

    /// As few partitions move as must. Their batches are finished by those who had them.
    fn rebalance(&mut self) {
        self.processes = self.wanted;
        let most = PARTITIONS.div_ceil(self.processes);
        let mut owned = vec![0; self.processes];
        let mut homeless = Vec::new();
        for partition in &mut self.partitions {
            if partition.owner < self.processes && owned[partition.owner] < most {
                owned[partition.owner] += 1;
            } else {
                homeless.push(partition);
            }
        }
        for partition in homeless {
            let (owner, count) = owned.iter_mut().enumerate().min_by_key(|(_, count)| **count).unwrap();
            *count += 1;
            partition.owner = owner;
            (partition.committed, partition.batch_began) = (partition.read, self.now);
            partition.stopped_until = self.now + MOVE;
        }
    }

    /// What a process publishes.
    fn published(&self, process: usize) -> Lag {
        let name = |index: usize| TopicPartition::new("orders", i32::try_from(index).unwrap());
        let millis = |seconds: i64| UnixMillis(seconds * 1000);
        let owned = self.partitions.iter().enumerate().filter(|(_, partition)| partition.owner == process);
        let durables: Vec<_> = owned
            .map(|(index, partition)| Durable {
                partition: name(index),
                committed: Offset(partition.committed),
                read: Offset(partition.read),
                // Records come at an even rate, so an offset says when.
                oldest: (partition.read > partition.committed).then(|| millis(partition.committed / INFLOW)),
            })
            .collect();
        let ends: HashMap<_, _> = (0..PARTITIONS).map(|index| (name(index), Offset(self.end))).collect();
        measure(&durables, &ends, millis(self.now))
    }

    /// What the autoscaler sees: the maximum over the processes.
    fn metrics(&self) -> [f64; 2] {
        (0..self.processes).map(|process| self.published(process)).fold([0.0; 2], |[offset, time], lag| {
            [offset.max(lag.max_offset_lag as f64), time.max(lag.max_time_lag)]
        })
    }
}

struct Autoscaler {
    bounds: (usize, usize),
    /// Minutes in a row that each metric was above its target, and below nine tenths of it.
    above: [u32; 2],
    below: [u32; 2],
    last_out: i64,
    last_in: i64,
    /// When it changed the number, and by how much.
    changes: Vec<(i64, i64)>,
}

/// How long after a change the next one may come, in seconds.
pub(crate) const COOLDOWN_OUT: i64 = 120;
pub(crate) const COOLDOWN_IN: i64 = 600;

impl Autoscaler {
    fn new(bounds: (usize, usize)) -> Self {
        let never = i64::MIN / 2;
        Self { bounds, above: [0; 2], below: [0; 2], last_out: never, last_in: never, changes: Vec::new() }
    }

    /// Once a minute.
    fn look(&mut self, world: &mut World) {
        let metrics = world.metrics();
        let mut wanted = world.wanted;
        for (index, (metric, target)) in metrics.into_iter().zip(TARGETS).enumerate() {
            self.above[index] = if metric > target { self.above[index] + 1 } else { 0 };
            self.below[index] = if metric < 0.9 * target { self.below[index] + 1 } else { 0 };
            if self.above[index] >= 3 && world.now - self.last_out >= COOLDOWN_OUT {
                wanted = wanted.max((world.processes as f64 * metric / target).ceil() as usize);
            }
        }
        let calm = self.below.iter().all(|minutes| *minutes >= 15);
        let cool = world.now - self.last_in.max(self.last_out) >= COOLDOWN_IN;
        if wanted == world.wanted && calm && cool {
            wanted -= 1;
        }
        let wanted = wanted.clamp(self.bounds.0, self.bounds.1);
        if wanted == world.wanted {
            return;
        }
        if wanted > world.wanted {
            (self.last_out, world.starts_at) = (world.now, world.now + START);
        } else {
            (self.last_in, world.starts_at) = (world.now, world.now);
        }
        self.changes.push((world.now, wanted as i64 - world.wanted as i64));
        world.wanted = wanted;
    }
}

const HOUR: i64 = 3600;

/// A day, with an outage from the second hour to the fifth; when the lag was last above both targets, and what was changed.
fn a_day(bounds: (usize, usize)) -> (i64, Vec<(i64, i64)>, World) {
    let (mut world, mut autoscaler) = (World::new(2), Autoscaler::new(bounds));
    let mut last_above = 0;
    while world.now < 24 * HOUR {
        world.step((2 * HOUR..5 * HOUR).contains(&world.now));
        if world.now % 60 == 0 {
            autoscaler.look(&mut world);
            let [offset, time] = world.metrics();
            if offset > TARGETS[0] || time > TARGETS[1] {
                last_above = world.now;
            }
        }
    }
    (last_above, autoscaler.changes, world)
}

#[test]
fn given_a_backlog_when_an_autoscaler_tracks_the_lag_then_it_ends_within_an_hour_and_nothing_flaps() {
    let (last_above, changes, world) = a_day((2, 12));
    assert!(last_above < 6 * HOUR, "above the targets until {last_above} s: {changes:?}");
    let turns = changes.windows(2).filter(|pair| (pair[0].1 > 0) != (pair[1].1 > 0)).count();
    assert_eq!(turns, 1, "out, and then in: {changes:?}");
    assert!(changes.iter().any(|(_, by)| *by > 0), "{changes:?}");
    assert_eq!(world.processes, 2);
}

#[test]
fn given_too_few_processes_at_least_when_an_autoscaler_tracks_the_lag_then_changes_of_mind_are_far_apart() {
    let (_, changes, world) = a_day((1, 12));
    let turns: Vec<_> = changes.windows(2).filter(|pair| (pair[0].1 > 0) != (pair[1].1 > 0)).collect();
    assert!(!turns.is_empty(), "{changes:?}");
    for pair in turns {
        assert!(pair[1].0 - pair[0].0 >= HOUR / 4, "{changes:?}");
    }
    assert!(world.metrics()[0] < 1.5 * TARGETS[0]);
}
