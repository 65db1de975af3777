//! The token is what AWS's own clients make: decoded, taken apart, and its signature worked out by the rules of Signature Version 4.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::super::CLOCK;
use super::*;
use crate::clock::Clock as _;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

async fn signed(session: Option<&str>, expiry: Option<SystemTime>) -> (Token, Url) {
    let session = session.map(str::to_owned);
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET, session, expiry, "test");
    let token = sign(Region::new("eu-central-1"), credentials).await.unwrap();
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(&token.text).unwrap();
    let url = Url::parse(&String::from_utf8(decoded).unwrap()).unwrap();
    (token, url)
}

fn parameters(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3986, as Signature Version 4 wants it.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The signature of a presigned GET, from all of its other parameters but `User-Agent`, which comes after signing.
fn signature(host: &str, parameters: &BTreeMap<String, String>) -> String {
    let signed =
        parameters.iter().filter(|(name, _)| !matches!(name.as_str(), "X-Amz-Signature" | "User-Agent"));
    let query: Vec<_> = signed.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let nothing = hex(&Sha256::digest(b""));
    let request = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{nothing}", query.join("&"));
    let time = &parameters["X-Amz-Date"];
    let scope = format!("{}/eu-central-1/kafka-cluster/aws4_request", &time[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
    let key = ["eu-central-1", "kafka-cluster", "aws4_request"]
        .iter()
        .fold(hmac(format!("AWS4{SECRET}").as_bytes(), &time[..8]), |key, part| hmac(&key, part));
    hex(&hmac(&key, &text))
}

#[tokio::test]
async fn given_credentials_then_the_token_is_a_presigned_url_that_lasts_for_a_quarter_of_an_hour() {
    let before = CLOCK.now().0;
    let (token, url) = signed(None, None).await;
    assert_eq!(url.origin().ascii_serialization(), "https://kafka.eu-central-1.amazonaws.com");
    assert_eq!(url.path(), "/");
    let parameters = parameters(&url);
    let date = &parameters["X-Amz-Date"];
    let expected = [
        ("Action", "kafka-cluster:Connect".to_owned()),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("AKIDEXAMPLE/{}/eu-central-1/kafka-cluster/aws4_request", &date[..8])),
        ("X-Amz-Expires", "900".to_owned()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
        ("X-Amz-Signature", signature("kafka.eu-central-1.amazonaws.com", &parameters)),
    ];
    for (name, value) in expected {
        assert_eq!(parameters.get(name), Some(&value), "{name} in {parameters:?}");
    }
    assert!(parameters.contains_key("User-Agent") && !parameters.contains_key("X-Amz-Security-Token"));
    // The date has seconds.
    assert!((before - 1_000..=CLOCK.now().0).contains(&(token.expires.0 - 900_000)), "{}", token.expires.0);
}

#[tokio::test]
async fn given_credentials_of_a_session_then_it_is_signed_too_and_the_token_ends_with_it() {
    let soon = UNIX_EPOCH + Duration::from_millis(u64::try_from(CLOCK.now().0).unwrap() + 60_000);
    let (token, url) = signed(Some("a/session+token=="), Some(soon)).await;
    let parameters = parameters(&url);
    assert_eq!(parameters["X-Amz-Security-Token"], "a/session+token==");
    assert_eq!(parameters["X-Amz-Signature"], signature("kafka.eu-central-1.amazonaws.com", &parameters));
    let expected = i64::try_from(soon.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    assert_eq!(token.expires.0, expected);
}
