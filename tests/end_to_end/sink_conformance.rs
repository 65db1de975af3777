//! What every sink must do, as one suite that runs against each of them.
//!
//! The memory and the local sink need nothing; the S3 sink runs against a real store. Where there is none, its trials
//! are ignored, or fail if services are required. What a store holds is read back around the sink
//! (`stores::Backdoor`): a sink should not be its own witness.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use futures_util::future::BoxFuture;
use libtest_mimic::Trial;

use stores::{Store, in_a_directory, in_memory, in_s3, wrapped};

pub(crate) use stores::S3TestStore;

mod files;
mod listing;
mod putting;
mod s3;
mod stores;
mod streaming;
mod uploads;

/// One trial per store and behaviour, named `sink_conformance::<store>::<behaviour>`. Without a store, those of `s3` fail
/// if it is `required`.
pub(crate) fn trials(s3: &Result<S3TestStore, String>, required: bool) -> Vec<Trial> {
    let mut trials = Vec::new();
    let all = [putting::BEHAVIOURS, streaming::BEHAVIOURS, listing::BEHAVIOURS, uploads::BEHAVIOURS];
    for (name, check) in all.into_iter().flatten() {
        trials.push(trial("memory", name, move || async move { check(in_memory()).await }));
        trials.push(trial("local", name, move || async move { check(in_a_directory()).await }));
        trials.push(trial("wrapped", name, move || async move { check(wrapped()).await }));
    }
    for (name, check) in all.into_iter().chain([s3::BEHAVIOURS, uploads::S3_BEHAVIOURS]).flatten() {
        let ignored = s3.is_err() && !required;
        let s3 = s3.clone();
        let trial = trial("s3", name, move || async move { check(in_s3(s3.unwrap()).await).await });
        trials.push(trial.with_ignored_flag(ignored));
    }
    trials
}

fn trial<F: Future<Output = ()>>(
    store: &str,
    name: &str,
    check: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::test(format!("sink_conformance::{store}::{name}"), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(check());
        Ok(())
    })
}

type Check = fn(Store) -> BoxFuture<'static, ()>;

macro_rules! behaviours {
    ($($check:ident,)*) => { &[$((stringify!($check), |store| Box::pin($check(store)))),*] };
}
use behaviours;
