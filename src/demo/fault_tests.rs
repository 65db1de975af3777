//! The daemon on an embedded broker that fails: every event must still be stored once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::run::{Demo, Options};
use crate::clock::SystemClock;

#[tokio::test(flavor = "multi_thread")]
async fn given_fetches_that_are_refused_now_and_then_then_every_event_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        records: None,
        rate: 1_500,
        directory: directory.path().join("files"),
        http: ([127, 0, 0, 1], 0).into(),
        seed: 7,
    };
    let demo = Demo::start(options).await.unwrap();
    let (mut progress, stop) = (Progress::new(Vec::new(), false), CancellationToken::new());
    // An error stands where the next record will: partitions are idle now and then, and read to their end. Some errors
    // meet the reader of dead letters instead: events come until a lane has met one, or far more than it takes were sent.
    let faults = async {
        let mut refused = 0;
        while refused < 12 || demo.fetch_failures() == 0 && refused < 480 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            demo.broker().refuse_fetches(1);
            refused += 1;
        }
        stop.cancel();
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        report = demo.run(&mut progress, Arc::new(SystemClock::new()), &stop) => report.unwrap(),
        () = faults => unreachable!("it never ends"),
    };
    assert!(demo.fetch_failures() > 0, "no lane met a fault");
    assert!(report.is_right(), "{report:?}");
}
