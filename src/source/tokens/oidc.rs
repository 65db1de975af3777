//! Tokens of an OpenID provider, by the client-credentials grant (RFC 6749, section 4.4). librdkafka can fetch them by itself, but only
//! when it is built with curl, which its Rust package doesn't manage to build along.

use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{CLOCK, Token};
use crate::clock::Clock as _;
use crate::config::Oidc;
use crate::http_client;
use crate::types::UnixMillis;

/// More than any token, in bytes.
const MAX_RESPONSE: usize = 64 << 10;

/// A client that shows credentials to nobody else: it follows no redirects.
///
/// # Errors
/// Why there can be none.
pub(super) fn client() -> Result<Client, String> {
    let client = Client::builder().redirect(redirect::Policy::none()).build();
    client.map_err(|error| format!("no HTTP client: {}", http_client::told(error)))
}

/// Asks once for a token.
///
/// # Errors
/// Why there is none, without what the provider was shown.
pub(super) async fn make(client: &Client, provider: &Oidc) -> Result<Token, String> {
    let fail = |what: String| format!("POST {}: {what}", provider.token_url);
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = &provider.scope {
        form.append_pair("scope", scope);
    }
    let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let asked = client
        .post(&provider.token_url)
        .basic_auth(escaped(&provider.client_id), Some(escaped(provider.client_secret.reveal())))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(form.finish());
    let response = asked.send().await.map_err(|error| fail(http_client::told(error)))?;
    let status = response.status();
    let body = http_client::body(response, MAX_RESPONSE).await.map_err(&fail)?;
    understand(status, &body).map_err(fail)
}

fn understand(status: StatusCode, body: &[u8]) -> Result<Token, String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer {
        access_token: Option<String>,
        /// Seconds.
        expires_in: Option<i64>,
        error: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    match (status, answer) {
        (StatusCode::OK, Answer { access_token: Some(text), expires_in: Some(seconds @ 1..), .. }) => {
            let expires = CLOCK.now().0.saturating_add(seconds.saturating_mul(1000));
            Ok(Token { text, expires: UnixMillis(expires) })
        }
        (StatusCode::OK, _) => {
            Err("the answer has no access_token, or no expires_in in the future".to_owned())
        }
        (status, Answer { error, .. }) => {
            // A code of RFC 6749, section 5.2; anything else may be an echo of what was sent.
            let is_code =
                |error: &String| error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let code = error.filter(is_code).map(|code| format!(" ({code})")).unwrap_or_default();
            Err(format!("HTTP {}{code}", status.as_u16()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> String {
        understand(StatusCode::from_u16(status).unwrap(), body.as_bytes()).err().expect("refused")
    }

    #[test]
    fn given_an_answer_with_a_token_then_it_lasts_as_long_as_that_says() {
        let body = r#"{"access_token":"a.b.c","token_type":"Bearer","expires_in":300}"#;
        let before = CLOCK.now().0;
        let token = understand(StatusCode::OK, body.as_bytes()).expect("a token");
        assert_eq!(token.text, "a.b.c");
        assert!((before + 300_000..=CLOCK.now().0 + 300_000).contains(&token.expires.0));
    }

    #[test]
    fn given_an_answer_without_a_token_then_the_status_and_the_providers_code_are_told_and_nothing_else() {
        assert_eq!(refusal(401, r#"{"error":"invalid_client"}"#), "HTTP 401 (invalid_client)");
        assert_eq!(refusal(400, r#"{"error":"no such secret: hunter2"}"#), "HTTP 400");
        assert_eq!(refusal(502, "<html>hunter2</html>"), "HTTP 502");
        let over =
            [0, -1, i64::MIN].map(|over| format!(r#"{{"access_token":"hunter2","expires_in":{over}}}"#));
        let lacking = ["", "[]", r#"{"access_token":"hunter2"}"#, r#"{"expires_in":5}"#].map(str::to_owned);
        for body in lacking.iter().chain(&over) {
            assert_eq!(refusal(200, body), "the answer has no access_token, or no expires_in in the future");
        }
    }
}
