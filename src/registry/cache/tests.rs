use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::*;
use crate::registry::{Reference, RegistryUnavailable};
use crate::telemetry::test_clock::TestClock;
use crate::types::UnixMillis;

const PATIENCE: Duration = Duration::from_secs(30);
const SEVEN: SchemaId = SchemaId(7);

/// A registry that gives the answers it was told to, the last of them for ever.
#[derive(Debug)]
struct Script {
    answers: Mutex<VecDeque<Result<Answer, &'static str>>>,
    asked: AtomicUsize,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Answer, &'static str>>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { answers, asked: AtomicUsize::new(0) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn then(&self, answer: Result<Answer, &'static str>) {
        *self.answers.lock().expect("not poisoned") = VecDeque::from([answer]);
    }
}

#[async_trait]
impl SchemaSource for Script {
    async fn schema(&self, _: SchemaId) -> Result<Answer, RegistryUnavailable> {
        tokio::task::yield_now().await;
        let mut answers = self.answers.lock().expect("not poisoned");
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        self.asked.fetch_add(1, Ordering::SeqCst);
        answer.expect("an answer").map_err(|reason| RegistryUnavailable(reason.to_owned()))
    }

    async fn topics(&self) -> Result<Vec<String>, RegistryUnavailable> {
        Ok(Vec::new())
    }
}

struct Fixture {
    cache: SchemaCache,
    source: Arc<Script>,
    clock: Arc<TestClock>,
    troubles: Troubles,
}

fn given(answers: impl IntoIterator<Item = Result<Answer, &'static str>>) -> Fixture {
    let (source, clock, troubles) =
        (Script::new(answers), Arc::new(TestClock::new(UnixMillis(0))), Troubles::default());
    let cache = SchemaCache::new(source.clone(), PATIENCE, clock.clone(), troubles.clone());
    Fixture { cache, source, clock, troubles }
}

impl Fixture {
    /// Starts a look-up of id 7 on the side.
    fn start(&self) -> tokio::task::JoinHandle<Lookup> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.lookup(SEVEN).await })
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..3000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came to pass; asked {} times, {:?}", self.source.asked(), self.troubles.lines());
    }

    /// Waits until an answer that was given after this call has been taken in.
    async fn until_asked_again(&self) {
        let asked = self.source.asked();
        self.until(|fixture| fixture.source.asked() > asked + 1).await;
    }
}

fn found() -> Answer {
    let text = r#"{"type":"record","name":"E","fields":[]}"#.to_owned();
    Answer::Found(RawSchema { text, references: Vec::new() })
}

fn text_of(lookup: &Lookup) -> &str {
    match lookup {
        Lookup::Known(schema) => schema.text(),
        other => panic!("not known: {other:?}"),
    }
}

#[tokio::test]
async fn given_a_schema_then_it_is_asked_for_once() {
    let fixture = given([Ok(found())]);
    assert!(fixture.cache.known(SEVEN).is_none());
    let looked_up = fixture.cache.lookup(SEVEN).await;
    assert_eq!(text_of(&looked_up), r#"{"type":"record","name":"E","fields":[]}"#);
    assert_eq!(text_of(&fixture.cache.lookup(SEVEN).await), text_of(&looked_up));
    assert_eq!(text_of(&fixture.cache.known(SEVEN).expect("known")), text_of(&looked_up));
    assert_eq!(fixture.source.asked(), 1);
}

#[tokio::test]
async fn given_many_lookups_at_once_then_they_share_one_request() {
    let fixture = given([Ok(found())]);
    let lookups = join_all((0..50).map(|_| fixture.start())).await;
    assert!(lookups.into_iter().all(|lookup| matches!(lookup, Ok(Lookup::Known(_)))));
    assert_eq!(fixture.source.asked(), 1);
}

#[tokio::test]
async fn given_references_then_they_are_inlined() {
    let part = r#"{"type":"fixed","name":"a.Id","size":4}"#;
    let reference = Reference {
        name: "a.Id".to_owned(),
        schema: RawSchema { text: part.to_owned(), references: Vec::new() },
    };
    let text = r#"{"type":"record","name":"E","fields":[{"name":"id","type":"a.Id"}]}"#;
    let raw = RawSchema { text: text.to_owned(), references: vec![reference] };
    let fixture = given([Ok(Answer::Found(raw))]);
    let lookup = fixture.cache.lookup(SEVEN).await;
    assert_eq!(text_of(&lookup), text.replace(r#""a.Id""#, part));
}

#[tokio::test]
async fn given_what_is_no_schema_then_it_is_unusable_for_ever() {
    let not_avro = RawSchema { text: "hello".to_owned(), references: Vec::new() };
    for answer in [Answer::Unusable("it is JSON".to_owned()), Answer::Found(not_avro)] {
        let fixture = given([Ok(answer), Ok(found())]);
        assert!(matches!(fixture.cache.lookup(SEVEN).await, Lookup::Unusable(_)));
        assert!(matches!(fixture.cache.known(SEVEN), Some(Lookup::Unusable(_))));
        assert!(matches!(fixture.cache.lookup(SEVEN).await, Lookup::Unusable(_)));
    }
}

#[tokio::test]
async fn given_an_outage_then_it_is_waited_out_in_the_open() {
    let fixture = given([Err("HTTP 500")]);
    let lookup = fixture.start();
    fixture.until(|fixture| fixture.source.asked() > 1).await;
    assert_eq!(fixture.troubles.lines(), ["registry: schema id 7: HTTP 500"]);
    fixture.clock.advance(PATIENCE * 100);
    fixture.until_asked_again().await;
    assert!(!lookup.is_finished(), "an outage is no verdict, however long");
    fixture.source.then(Ok(found()));
    assert!(matches!(lookup.await, Ok(Lookup::Known(_))));
    assert!(fixture.troubles.lines().is_empty());
}

#[tokio::test]
async fn given_an_id_that_stays_unknown_then_it_is_believed_after_the_patience_only() {
    let fixture = given([Ok(Answer::Unknown)]);
    let lookup = fixture.start();
    fixture.until(|fixture| !fixture.troubles.lines().is_empty()).await;
    let line = "registry: schema id 7 is unknown to the registry; asked again until 30s have passed";
    assert_eq!(fixture.troubles.lines(), [line]);
    fixture.clock.advance(PATIENCE - Duration::from_millis(1));
    fixture.until_asked_again().await;
    assert!(!lookup.is_finished());
    fixture.clock.advance(Duration::from_millis(1));
    assert!(matches!(lookup.await, Ok(Lookup::Unknown)));
    assert!(fixture.troubles.lines().is_empty());
    assert!(fixture.cache.known(SEVEN).is_none(), "not a verdict to keep");
}

#[tokio::test]
async fn given_a_lagging_replica_then_the_schema_is_found_in_the_end() {
    let fixture = given([Ok(Answer::Unknown), Ok(Answer::Unknown), Ok(found())]);
    assert!(matches!(fixture.cache.lookup(SEVEN).await, Lookup::Known(_)));
    assert!(fixture.cache.inner.state().doubts.is_empty());
}

#[tokio::test]
async fn given_an_outage_after_the_patience_then_another_answer_is_needed() {
    let fixture = given([Ok(Answer::Unknown), Err("HTTP 503")]);
    let lookup = fixture.start();
    fixture.until(|fixture| fixture.source.asked() > 1).await;
    fixture.clock.advance(PATIENCE * 2);
    fixture.until_asked_again().await;
    assert!(!lookup.is_finished(), "the last answer must be that it is unknown");
    fixture.source.then(Ok(Answer::Unknown));
    assert!(matches!(lookup.await, Ok(Lookup::Unknown)), "the outage did not start the time anew");
}

#[tokio::test]
async fn given_an_id_believed_unknown_then_the_next_lookup_asks_once() {
    let fixture = given([Ok(Answer::Unknown)]);
    let lookup = fixture.start();
    fixture.until(|fixture| fixture.source.asked() > 0).await;
    fixture.clock.advance(PATIENCE);
    assert!(matches!(lookup.await, Ok(Lookup::Unknown)));
    let asked = fixture.source.asked();
    assert!(matches!(fixture.cache.lookup(SEVEN).await, Lookup::Unknown));
    assert_eq!(fixture.source.asked(), asked + 1);
    fixture.source.then(Ok(found()));
    assert!(matches!(fixture.cache.lookup(SEVEN).await, Lookup::Known(_)), "registered meanwhile");
}

#[tokio::test]
async fn given_a_doubt_of_long_ago_then_it_is_doubted_anew() {
    let fixture = given([Ok(Answer::Unknown)]);
    fixture.cache.inner.state().doubt(SEVEN, Duration::ZERO);
    fixture.clock.advance(DOUBT_KEPT + Duration::from_secs(1));
    let lookup = fixture.start();
    fixture.until_asked_again().await;
    assert!(!lookup.is_finished());
    lookup.abort();
}

#[tokio::test]
async fn given_all_who_waited_have_gone_then_nothing_is_left_behind() {
    let fixture = given([Err("HTTP 500")]);
    let lookup = fixture.start();
    fixture.until(|fixture| !fixture.troubles.lines().is_empty()).await;
    lookup.abort();
    assert!(lookup.await.is_err_and(|error| error.is_cancelled()));
    assert!(fixture.troubles.lines().is_empty(), "{:?}", fixture.troubles.lines());
    fixture.source.then(Ok(found()));
    assert!(matches!(fixture.cache.lookup(SEVEN).await, Lookup::Known(_)));
    assert!(fixture.cache.inner.state().asking.is_empty());
}

#[tokio::test]
async fn given_one_who_waited_has_gone_then_the_others_still_get_the_answer() {
    let fixture = given([Err("HTTP 500")]);
    let (first, second) = (fixture.start(), fixture.start());
    fixture.until(|fixture| fixture.source.asked() > 0).await;
    first.abort();
    fixture.source.then(Ok(found()));
    assert!(matches!(second.await, Ok(Lookup::Known(_))));
}

#[test]
fn given_more_unknown_ids_than_can_be_remembered_then_the_oldest_are_forgotten() {
    let mut state = State::default();
    for id in 0..u32::try_from(MAX_DOUBTS).expect("small") + 5 {
        state.doubt(SchemaId(id), Duration::from_millis(id.into()));
    }
    assert_eq!(state.doubts.len(), MAX_DOUBTS);
    let forgotten: HashSet<_> = (0..10).filter(|id| !state.doubts.contains_key(&SchemaId(*id))).collect();
    assert_eq!(forgotten, HashSet::from([0, 1, 2, 3, 4]));
}
