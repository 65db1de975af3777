//! Histories as the protocol makes them audit clean, and every single thing that can go wrong with one is found.

mod history;
mod real;

use proptest::prelude::*;

use self::history::{History, PARTITION, Step, history, play};
use super::report::Released;
use super::*;
use crate::core::intent::Metadata;
use crate::stored::{Part, StoredFile};
use crate::types::{Offset, TopicPartition};

fn audit(history: &History) -> Record {
    audit_of(history.files.clone(), Committed::Own(Box::new(history.committed.clone())))
}

fn audit_of(files: Vec<StoredFile>, committed: Committed) -> Record {
    let partition = TopicPartition::new("orders", PARTITION);
    let question = Question { partition, topic_id: Some(history::TOPIC_ID), committed, files, dense: false };
    let mut records = prove(question, &Scope::All);
    assert_eq!(records.len(), 1, "{records:?}");
    records.remove(0)
}

/// The keys of the files that count, by batch.
fn counted(history: &History) -> Vec<Vec<usize>> {
    let mut batches = std::collections::BTreeMap::<_, Vec<usize>>::new();
    let released = &history.committed.coverage.released;
    for (index, file) in history.files.iter().enumerate() {
        if file.first < history.committed.first && !released.contains(&(file.first, file.end)) {
            batches.entry(file.first_file().to_owned()).or_default().push(index);
        }
    }
    batches.into_values().collect()
}

fn without(files: &[StoredFile], gone: &[usize]) -> Vec<StoredFile> {
    let left = files.iter().enumerate().filter(|(index, _)| !gone.contains(index));
    left.map(|(_, file)| file.clone()).collect()
}

/// Everything that can happen to one batch, by name, and the files after it.
fn mutants(files: &[StoredFile], batch: &[usize], pick: usize) -> Vec<(&'static str, Vec<StoredFile>)> {
    let one = batch[pick % batch.len()];
    let first = batch.iter().copied().find(|index| matches!(files[*index].part, Part::First(_)));
    let first = first.expect("a batch that counts has its first file");
    let changed = |which: &[usize], change: &dyn Fn(&mut StoredFile)| {
        let mut files = files.to_vec();
        which.iter().for_each(|index| change(&mut files[*index]));
        files
    };
    let shifted = |by: i64| {
        changed(batch, &|file| {
            for offset in [&mut file.first, &mut file.end, &mut file.covered_from] {
                offset.0 += by;
            }
        })
    };
    let totals = |change: &dyn Fn(&mut crate::stored::Totals)| {
        changed(&[first], &|file| {
            if let Part::First(totals) = &mut file.part {
                change(totals);
            }
        })
    };
    vec![
        ("a file is removed", without(files, &[one])),
        ("the batch is removed", without(files, batch)),
        ("the first file is removed", without(files, &[first])),
        ("its range is shifted forward", shifted(1)),
        ("its range is shifted back", shifted(-1)),
        ("a header states another number of rows", changed(&[one], &|file| file.rows += 1)),
        ("a header states another digest", changed(&[one], &|file| file.digest.0 ^= 1)),
        ("the list states another number of rows", totals(&|totals| totals.files[0].rows += 1)),
        ("a dead letter more is stated", totals(&|totals| totals.dead_letters += 1)),
        ("a skipped record more is stated", totals(&|totals| totals.skipped += 1)),
        ("an empty offset more is stated", totals(&|totals| totals.empty += 1)),
        ("the list names a file twice", totals(&|totals| totals.files.push(totals.files[0].clone()))),
        ("the list is shorter", totals(&|totals| drop(totals.files.pop()))),
        ("the batch is there twice", [files, &again(files, batch)].concat()),
        ("a file is there twice", [files, &copied(&files[one])].concat()),
    ]
}

/// The batch under other UUIDs, as another promise would make it.
fn again(files: &[StoredFile], batch: &[usize]) -> Vec<StoredFile> {
    let renamed = |key: &str| format!("{key}-again");
    let mut again: Vec<StoredFile> = batch.iter().map(|index| files[*index].clone()).collect();
    for file in &mut again {
        file.key = renamed(&file.key);
        file.promise ^= 1;
        match &mut file.part {
            Part::First(totals) => totals.files.iter_mut().for_each(|entry| entry.key = renamed(&entry.key)),
            Part::Further { first_file } => *first_file = renamed(first_file),
        }
    }
    again
}

/// The same object under another key.
fn copied(file: &StoredFile) -> [StoredFile; 1] {
    [StoredFile { key: format!("{}-copy", file.key), ..file.clone() }]
}

/// Everything that can be wrong with what is committed.
fn wrong_metadata(own: &Metadata) -> Vec<(&'static str, Metadata)> {
    let changed = |change: &dyn Fn(&mut Metadata)| {
        let mut own = own.clone();
        change(&mut own);
        own
    };
    vec![
        ("the coverage begins earlier", changed(&|own| own.coverage.from.0 -= 1)),
        ("the coverage begins later", changed(&|own| own.coverage.from.0 += 1)),
        ("the committed offset is further", changed(&|own| own.first.0 += 1)),
        ("a dead letter more is covered", changed(&|own| own.coverage.dead_letters += 1)),
        ("a skipped record more is covered", changed(&|own| own.coverage.skipped += 1)),
        ("an empty offset more is covered", changed(&|own| own.coverage.empty += 1)),
        ("the origin is earlier", changed(&|own| own.origin.0 -= 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn given_any_history_then_it_audits_clean_and_every_offset_is_counted(history in history()) {
        let record = audit(&history);
        prop_assert_eq!(&record.findings, &[]);
        let on_record = history.steps.iter().any(|step| matches!(step, Step::Lost(_) | Step::Released { .. }));
        prop_assert_eq!(record.verdict(), if on_record { Verdict::OnRecord } else { Verdict::Clean });
        let exempt = ranges::taken(
            (history.committed.origin, history.committed.first),
            record.lost.iter().copied().chain(record.released.iter().map(|mark| (mark.first, mark.end))),
        );
        let settled = record.rows + record.dead_letters + record.skipped + record.empty;
        prop_assert_eq!(settled + exempt, history.committed.origin.distance_to(history.committed.first));
    }

    #[test]
    fn given_any_history_when_anything_happens_to_one_batch_then_it_is_found(
        history in history(),
        nth in 0..100_usize,
        pick in 0..100_usize,
    ) {
        let batches = counted(&history);
        prop_assume!(!batches.is_empty());
        for (what, files) in mutants(&history.files, &batches[nth % batches.len()], pick) {
            let record = audit_of(files, Committed::Own(Box::new(history.committed.clone())));
            prop_assert_eq!(record.verdict(), Verdict::Wrong, "not found: {}", what);
        }
    }

    #[test]
    fn given_any_history_when_the_committed_metadata_is_wrong_then_it_is_found(history in history()) {
        for (what, own) in wrong_metadata(&history.committed) {
            let record = audit_of(history.files.clone(), Committed::Own(Box::new(own)));
            prop_assert_eq!(record.verdict(), Verdict::Wrong, "not found: {}", what);
        }
    }

    #[test]
    fn given_any_history_without_origin_then_it_is_not_proven(history in history()) {
        let offset = history.committed.first;
        let without =
            [Committed::Nothing, Committed::NoTopic, Committed::Foreign(offset), Committed::Newer(offset)];
        for committed in without {
            if !history.files.is_empty() || !matches!(committed, Committed::Nothing | Committed::NoTopic) {
                let record = audit_of(history.files.clone(), committed);
                let unproven = |finding: &Finding| matches!(finding, Finding::NotProven { .. });
                prop_assert!(record.findings.iter().any(unproven), "{record:?}");
            }
        }
    }

    #[test]
    fn given_any_history_when_only_some_keys_were_looked_at_then_what_is_there_still_fits(
        history in history(),
        nth in 0..100_usize,
    ) {
        let batches = counted(&history);
        prop_assume!(!batches.is_empty());
        let batch = &batches[nth % batches.len()];
        let files: Vec<_> = batch.iter().map(|index| history.files[*index].clone()).collect();
        let seen = Scope::Prefixes(files.iter().map(|file| file.key.clone()).collect());
        let question = |files| Question {
            partition: TopicPartition::new("orders", PARTITION),
            topic_id: None,
            committed: Committed::Own(Box::new(history.committed.clone())),
            files,
            dense: false,
        };
        prop_assert_eq!(&prove(question(files.clone()), &seen)[0].findings, &[]);
        for (what, mutant) in mutants(&files, &(0..files.len()).collect::<Vec<_>>(), nth) {
            // Neighbours aren't looked at: a batch that is gone whole, or says another place, is nobody's business.
            if !(mutant.is_empty() || what.contains("shifted")) {
                let record = &prove(question(mutant), &seen)[0];
                prop_assert_eq!(record.verdict(), Verdict::Wrong, "not found: {}", what);
            }
        }
    }
}

/// Any offset, the extremes often.
fn any_offset() -> impl Strategy<Value = Offset> {
    prop_oneof![any::<i64>(), -3..3_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Offset)
}

proptest! {
    #[test]
    fn given_hostile_headers_and_metadata_then_the_proof_comes_to_an_end(
        history in history(),
        offsets in prop::collection::vec(any_offset(), 12),
        count in prop_oneof![any::<u64>(), Just(u64::MAX)],
        nth in any::<prop::sample::Index>(),
    ) {
        let mut history = history;
        if !history.files.is_empty() {
            let file = nth.get(&history.files).clone();
            let mut totals = crate::stored::Totals::default();
            (totals.dead_letters, totals.skipped, totals.empty) = (count, count, count);
            totals.lost = vec![(offsets[0], offsets[1]), (offsets[2], offsets[3])];
            totals.released = vec![(offsets[3], offsets[4])];
            let entry = crate::stored::ListedFile { key: file.key.clone(), rows: count, digest: file.digest };
            totals.files = vec![entry.clone(), entry];
            let part = Part::First(Box::new(totals));
            let (first, end, covered_from) = (offsets[5], offsets[6], offsets[7]);
            history.files.push(StoredFile { first, end, covered_from, rows: count, part, ..file });
        }
        let own = &mut history.committed;
        (own.first, own.origin, own.coverage.from) = (offsets[8], offsets[9], offsets[10]);
        (own.coverage.dead_letters, own.coverage.skipped) = (count, count);
        own.coverage.lost.push((offsets[11], offsets[0]));
        let record = audit(&history);
        let shown = table::Table(&Report { records: vec![record], ..Report::default() }).to_string();
        prop_assert!(shown.contains("partition"));
    }
}

fn batch(rows: &[u64]) -> Step {
    Step::Batch { rows: rows.to_vec(), dead_letters: 1, skipped: 2, empty: 3 }
}

#[test]
fn given_the_earliest_files_are_gone_then_the_origin_shows_the_gap() {
    let history = play(100, vec![batch(&[5]), batch(&[7])], 0);
    let record = audit_of(without(&history.files, &[0]), Committed::Own(Box::new(history.committed)));
    assert_eq!(record.findings, [Finding::Gap { first: Offset(100), end: Offset(111) }]);
}

#[test]
fn given_batches_beyond_the_committed_offset_then_they_are_not_yet_its_business() {
    let steps = vec![batch(&[5]), Step::Pending { rows: vec![4, 4], stored: 1 }];
    let record = audit(&play(0, steps, 0));
    assert_eq!((record.findings.len(), record.pending_files), (0, 1));
    assert_eq!(record.promised, Some((Offset(11), Offset(19))));
    assert_eq!(record.rows, 5);
}

#[test]
fn given_a_topic_that_was_created_again_then_each_has_its_own_record() {
    let now = play(0, vec![batch(&[5])], 0);
    let mut files = now.files.clone();
    let former = play(0, vec![batch(&[1, 2]), batch(&[3])], 0);
    files.extend(former.files.into_iter().map(|file| StoredFile { topic_id: Some(1), ..file }));
    let question = |files| Question {
        partition: TopicPartition::new("orders", PARTITION),
        topic_id: Some(history::TOPIC_ID),
        committed: Committed::Own(Box::new(now.committed.clone())),
        files,
        dense: false,
    };
    let records = prove(question(files.clone()), &Scope::All);
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].rows, records[1].rows), (6, 5));
    assert!(records.iter().all(|record| record.findings.is_empty()), "{records:?}");
    assert!(records[0].notes[0].contains("created again"), "{records:?}");

    // What is gone from its middle is found all the same.
    files.retain(|file| !(file.topic_id == Some(1) && file.first == Offset(0)));
    let records = prove(question(files), &Scope::All);
    assert_eq!(records[0].findings, [Finding::Gap { first: Offset(0), end: Offset(9) }]);
}

#[test]
fn given_a_record_that_began_anew_then_files_of_the_earlier_one_are_not_counted_unless_they_overlap() {
    let earlier = play(0, vec![batch(&[4])], 0);
    let now = play(50, vec![batch(&[5])], 0);
    let files = [earlier.files.clone(), now.files.clone()].concat();
    let record = audit_of(files, Committed::Own(Box::new(now.committed.clone())));
    assert_eq!((record.findings.len(), record.earlier_files, record.rows), (0, 1, 5));

    let now = play(8, vec![batch(&[5])], 0);
    let files = [earlier.files, now.files].concat();
    let record = audit_of(files, Committed::Own(Box::new(now.committed)));
    assert!(matches!(record.findings[..], [Finding::Overlap { .. }, ..]), "{record:?}");
}

#[test]
fn given_a_record_that_began_while_the_audit_ran_then_only_files_from_before_are_not_proven() {
    let earlier = play(0, vec![batch(&[4])], 0);
    let now = play(50, vec![batch(&[5]), batch(&[6, 7])], 0);
    let begun = || Committed::Begun(Box::new(now.committed.clone()));
    let record = audit_of(now.files.clone(), begun());
    assert_eq!((record.verdict(), record.pending_files, record.files), (Verdict::Clean, 3, 0));
    let record = audit_of([earlier.files, now.files.clone()].concat(), begun());
    assert!(matches!(record.findings[..], [Finding::NotProven { .. }]), "{record:?}");
    assert_eq!((record.pending_files, record.files), (3, 1));
}

#[test]
fn given_a_log_that_became_shorter_then_what_the_earlier_record_released_exempts_nothing_of_the_new_one() {
    let steps = vec![batch(&[5]), Step::Released { rows: vec![4, 6], stored: Vec::new() }, batch(&[2])];
    let earlier = play(0, steps, 0);
    // It ended at 15 then, within the released batch.
    let now = play(15, vec![batch(&[20])], 0);
    let files = [earlier.files, now.files].concat();
    let record = audit_of(files, Committed::Own(Box::new(now.committed)));
    // What was stored behind 15 is stored anew; no counts are wrong.
    let is_overlap = |finding: &Finding| matches!(finding, Finding::Overlap { .. });
    assert!(!record.findings.is_empty() && record.findings.iter().all(is_overlap), "{record:?}");
    assert_eq!(record.released, []);
}

#[test]
fn given_a_released_batch_then_its_files_are_reported_under_the_mark_and_not_counted() {
    let steps = vec![batch(&[5]), Step::Released { rows: vec![4, 6], stored: vec![1] }, batch(&[2])];
    let record = audit(&play(0, steps, 0));
    assert_eq!((record.verdict(), record.rows, record.batches), (Verdict::OnRecord, 7, 2));
    let released = Released { first: Offset(11), end: Offset(21), files: 1, rows: 6 };
    assert_eq!(record.released, [released]);
}

#[test]
fn given_offsets_without_records_where_each_is_to_have_one_then_they_are_found() {
    let none = Step::Batch { rows: Vec::new(), dead_letters: 0, skipped: 0, empty: 2 };
    let history = play(
        0,
        vec![batch(&[5]), Step::Batch { rows: vec![4], dead_letters: 1, skipped: 0, empty: 0 }, none],
        0,
    );
    let question = |dense| Question {
        partition: TopicPartition::new("orders", PARTITION),
        topic_id: Some(history::TOPIC_ID),
        committed: Committed::Own(Box::new(history.committed.clone())),
        files: history.files.clone(),
        dense,
    };
    assert_eq!(prove(question(false), &Scope::All)[0].findings, []);
    let found = prove(question(true), &Scope::All).remove(0).findings;
    let of = |finding: &Finding| match finding {
        Finding::Empty { first, end, offsets, .. } => Some((first.0, end.0, *offsets)),
        _ => None,
    };
    assert_eq!(found.iter().map(of).collect::<Vec<_>>(), [Some((0, 11, 3)), Some((16, 18, 2))], "{found:?}");
}
