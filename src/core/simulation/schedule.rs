//! One schedule: turns of work and trouble, drawn as they come; then everything is healed and runs dry.

use std::time::Duration;

use super::log::HOUR;
use super::mix::{TROUBLES, Trouble};
use super::process::{Process, Told};
use super::world::{NO_PRESSURE, World};
use crate::core::Event;

/// The kinds of work of one process.
const KINDS: usize = 13;

impl World {
    /// Runs the whole schedule, until something is wrong.
    pub(super) fn run(&mut self) {
        for _ in 0..self.mix.turns {
            self.turn();
            if self.fault.is_some() {
                return;
            }
        }
        self.heal();
    }

    fn turn(&mut self) {
        self.seen.turns += 1;
        if self.draw.one_in(self.mix.trouble) {
            let trouble = TROUBLES[self.draw.weighted(&self.mix.weights)];
            if self.trace.is_some() {
                self.note(format!("{trouble:?}"));
            }
            return self.trouble(trouble);
        }
        match self.draw.below(16) {
            0 | 1 => {
                let partition = self.draw.below(self.names.len());
                self.append(partition);
            }
            2 => {
                let time = if self.draw.one_in(20) { HOUR as u64 } else { self.draw.between(1, 9_000) };
                self.pass(Duration::from_millis(time));
            }
            3 | 4 if self.group.unsettled => {
                self.rebalance(false);
            }
            5 | 6 if self.neglected(KINDS) && !self.store.flying.is_empty() => {
                let index = self.draw.below(self.store.flying.len());
                self.land(index);
            }
            7 | 8 if self.neglected(KINDS + 1) && !self.requests.is_empty() => {
                let index = self.draw.below(self.requests.len());
                self.arrive(index);
            }
            _ => self.work_somewhere(),
        }
    }

    /// Whether this kind of work is done now: what is neglected is done once in four times.
    fn neglected(&mut self, kind: usize) -> bool {
        kind != self.mix.neglected || self.draw.one_in(4)
    }

    fn work_somewhere(&mut self) {
        let running: Vec<_> = self.running().collect();
        if running.is_empty() {
            return self.start_process();
        }
        let me = running[self.draw.below(running.len())];
        for _ in 0..3 {
            self.work(me);
        }
        if self.processes[me].runs() && self.draw.one_in(2) {
            self.tick(me);
        }
    }

    fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.processes.len()).filter(|me| self.processes[*me].runs())
    }

    /// Does something that `me` has to do; `false` if there is nothing.
    fn work(&mut self, me: usize) -> bool {
        let from = self.draw.below(KINDS);
        (0..KINDS).any(|step| {
            let kind = (from + step) % KINDS;
            self.processes[me].runs() && self.neglected(kind) && self.do_work(me, kind)
        })
    }

    fn do_work(&mut self, me: usize, kind: usize) -> bool {
        match kind {
            0 => self.hear(me),
            1 => self.hear_answer(me),
            2 => self.resolve(me),
            3 => self.close(me),
            4 => self.remake(me),
            5 => self.further(me),
            6 => self.send(me),
            7 => self.take(me),
            8 => self.report_position(me),
            9 => self.learn(me),
            10 => self.join(me),
            11 => self.hear_late(me),
            _ => self.notice(me),
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        let me = self.draw.below(self.processes.len().max(1));
        let partition = self.draw.below(self.names.len());
        match trouble {
            Trouble::Start if self.running().count() < 3 => self.start_process(),
            Trouble::Retention => self.retain(partition),
            Trouble::Shorten => self.shorten_log(partition),
            Trouble::Compact => self.compact(partition),
            Trouble::Recreate => self.recreate(),
            Trouble::Expire => self.expire_offsets(),
            Trouble::Registry => self.registry_down = !self.registry_down,
            Trouble::LateKnown => self.late_is_known = true,
            Trouble::Pressure => {
                self.pressure.used = [0, 75, 90][self.draw.below(3)];
                self.pressure.leaving = if self.draw.one_in(2) { 0 } else { 20.min(self.pressure.used) };
            }
            Trouble::Refresh => self.refresh(),
            Trouble::Grow => self.grow(),
            Trouble::Spoil if !self.store.flying.is_empty() => {
                let index = self.draw.below(self.store.flying.len());
                self.spoil(index);
            }
            Trouble::Rebalance => {
                self.rebalance(false);
            }
            Trouble::TimeOut => self.time_out_somewhere(),
            Trouble::FailPut if !self.store.flying.is_empty() => {
                let index = self.draw.below(self.store.flying.len());
                self.fail_put(index);
            }
            _ if me < self.processes.len() => self.trouble_of(me, trouble),
            _ => {}
        }
    }

    fn trouble_of(&mut self, me: usize, trouble: Trouble) {
        let process = &mut self.processes[me];
        match trouble {
            Trouble::Freeze => process.frozen = !process.ended,
            Trouble::Thaw => self.thaw(me),
            Trouble::Crash if !process.ended => self.crash(me),
            Trouble::Expel => {
                if let Some(member) = process.member.filter(|_| !process.runs()) {
                    self.expel(member);
                } else {
                    self.rebalance(true);
                }
            }
            Trouble::Shutdown if process.runs() && self.draw.one_in(2) => self.shut_down(me),
            _ => {}
        }
    }

    fn thaw(&mut self, me: usize) {
        self.processes[me].frozen = false;
    }

    pub(super) fn shut_down(&mut self, me: usize) {
        self.processes[me].shutting_down = true;
        self.event(me, Event::Shutdown);
    }

    fn time_out_somewhere(&mut self) {
        if !self.requests.is_empty() {
            let index = self.draw.below(self.requests.len());
            if self.request_is_awaited(index) {
                self.time_out(index);
            }
        }
    }

    /// Everything works again, and goes on until there is nothing left to do; then all must have come right.
    fn heal(&mut self) {
        self.note("healed".to_owned());
        self.mix.heal();
        (self.registry_down, self.pressure) = (false, NO_PRESSURE);
        (0..self.processes.len()).for_each(|me| self.thaw(me));
        self.run_dry();
        if self.fault.is_some() {
            return;
        }
        self.check_end(false);
        if (0..self.names.len()).any(|partition| self.hold_of(partition).is_some()) {
            self.begin_again();
        } else if self.draw.one_in(4) {
            self.end_all();
        }
        self.seen.schedules += 1;
        self.seen.records += self.records.len() as u64;
        if self.fault.is_none() {
            self.audit();
        }
    }

    /// What was held for a reason of that time is looked at anew by a process that has just started.
    fn begin_again(&mut self) {
        for me in 0..self.processes.len() {
            self.end(me);
        }
        self.start_process();
        self.run_dry();
        if self.fault.is_none() {
            let held = (0..self.names.len()).filter(|partition| self.hold_of(*partition).is_some()).count();
            self.seen.held_at_the_end += held as u64;
            self.check_end(true);
        }
    }

    /// All processes are asked to end, and do.
    fn end_all(&mut self) {
        for me in 0..self.processes.len() {
            if self.processes[me].runs() && !self.processes[me].shutting_down {
                self.shut_down(me);
            }
        }
        for _ in 0..8 {
            self.run_once();
        }
        if self.running().next().is_some() {
            self.blame("a process doesn't end".to_owned());
        }
    }

    fn run_dry(&mut self) {
        let mut quiet = 0;
        for _ in 0..80 {
            if self.running().all(|me| self.processes[me].shutting_down) {
                self.start_process();
            }
            let moved = self.run_once();
            quiet = if moved { 0 } else { quiet + 1 };
            // Three quiet rounds: batches that are idle are sealed in between.
            if quiet == 3 || self.fault.is_some() {
                return;
            }
        }
        self.blame("it never runs dry".to_owned());
    }

    fn run_once(&mut self) -> bool {
        if self.log(0).topic_id > 1 {
            self.refresh();
        }
        // The sessions of those who are gone run out.
        let is_gone = |process: &Process| {
            process.ended && process.member.is_some_and(|member| self.group.members.contains(&member))
        };
        self.group.unsettled |= self.processes.iter().any(is_gone);
        let mut moved = false;
        while self.everybody_works() && self.fault.is_none() {
            moved = true;
        }
        self.pass(Duration::from_millis(3_500));
        moved
    }

    /// Everything that can be done without time passing, once around.
    fn everybody_works(&mut self) -> bool {
        let mut moved = self.group.unsettled && self.rebalance(false);
        for me in 0..self.processes.len() {
            while self.fault.is_none() {
                let refresh = matches!(self.processes[me].told.front(), Some(Told::TopicId(_)));
                if !self.work(me) {
                    break;
                }
                moved |= !refresh;
            }
        }
        moved |= !self.requests.is_empty() || !self.store.flying.is_empty();
        while !self.requests.is_empty() {
            self.arrive(0);
        }
        while !self.store.flying.is_empty() {
            self.land(0);
        }
        moved
    }
}
