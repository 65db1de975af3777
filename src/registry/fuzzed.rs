//! What fuzz/ reaches of the registry's client: answers without a network.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::endpoint::{Reply, understood};
use super::gather::{self, Gathered, Shown, Shows};
use super::{Answer, RegistryUnavailable, confluent};
use crate::types::SchemaId;

/// Status and body of each answer, in the order in which they are given.
#[derive(Debug)]
pub(crate) struct Answers(pub(crate) Mutex<VecDeque<(u16, Vec<u8>)>>);

impl Shows for Answers {
    async fn shown(&self, path: &[&str]) -> Result<Reply<Shown>, RegistryUnavailable> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (status, body) = next.unwrap_or((404, br#"{"error_code":40402}"#.to_vec()));
        reply(&path.join("/"), status, &body)
    }
}

fn reply<T: DeserializeOwned>(
    shown: &str,
    status: u16,
    body: &[u8],
) -> Result<Reply<T>, RegistryUnavailable> {
    understood(shown, StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT), body)
}

/// What a registry that gives these answers says of a schema.
pub(crate) async fn gathered(answers: &Answers) -> Result<Answer, RegistryUnavailable> {
    Ok(match gather::schema(answers, SchemaId(1)).await? {
        Gathered::Found(schema) => Answer::Found(schema),
        Gathered::Unusable(reason) => Answer::Unusable(reason),
        Gathered::Unknown => Answer::Unknown,
    })
}

/// The topics in an answer about subjects.
pub(crate) fn topics(status: u16, body: &[u8]) -> Option<Vec<String>> {
    match reply::<Vec<String>>("subjects", status, body) {
        Ok(Reply::Found(subjects)) => Some(confluent::topics_of(&subjects)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn given_an_answer_that_would_be_quoted_at_length_then_the_reason_is_cut() {
        let long = "x".repeat(100_000);
        let nonsense = format!("\"{long}\"");
        let missing =
            format!(r#"{{"schema":"","references":[{{"name":"{long}","subject":"s","version":1}}]}}"#);
        for body in [nonsense, missing] {
            let answers = Answers(Mutex::new([(200, body.into_bytes())].into()));
            let RegistryUnavailable(reason) = gathered(&answers).now_or_never().unwrap().unwrap_err();
            assert!(reason.contains("xxx") && reason.len() < 1_010, "{} bytes", reason.len());
        }
    }
}
