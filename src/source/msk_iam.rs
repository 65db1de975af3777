//! Signing in at Amazon MSK by IAM (`kafka.auth = "msk-iam"`).
//!
//! The token is a presigned URL of `kafka-cluster:Connect`, made by the published signer with the credentials of the AWS SDK's
//! ordinary chain. The process has one token, which a thread of its own renews long before it expires; a client that wants one
//! is given that and never waits, since the lanes' clients ask while they are polled. Without a token, the client says why, tries
//! again ten seconds later, and valve waits as for any outage of Kafka.

use std::sync::{Condvar, LazyLock, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use rdkafka::client::OAuthToken;

use crate::clock::{Clock as _, SystemClock};
use crate::types::UnixMillis;

/// How long the first client waits for the first token. What takes longer is an outage.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How long one try may take: the chain asks one source after the other.
const TRY: Duration = Duration::from_secs(30);
/// The pauses between tries that fail.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A token isn't renewed more often.
const SHORTEST: Duration = Duration::from_secs(1);

static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);
static STATE: State = State { current: Mutex::new(None), changed: Condvar::new() };

/// The process's token, or why there is none; nothing before the first try has ended.
struct State {
    current: Mutex<Option<Result<Token, String>>>,
    changed: Condvar,
}

/// A token, and until when brokers take it.
#[derive(Clone, PartialEq, Eq)]
struct Token {
    text: String,
    expires: UnixMillis,
}

/// Begins to keep a token of this region (or the chain's), once for the process, and waits a moment for the first.
pub(super) fn begin(region: Option<&str>) {
    static BEGUN: OnceLock<()> = OnceLock::new();
    BEGUN.get_or_init(|| {
        let region = region.map(|region| Region::new(region.to_owned()));
        let spawned = thread::Builder::new().name("msk-iam".to_owned()).spawn(move || keep(region));
        if let Err(error) = spawned {
            STATE.set(Err(format!("no thread for tokens: {error}")));
        }
    });
    STATE.wait_for_first();
}

/// The token for a client.
///
/// # Errors
/// Why there is none.
pub(super) fn token() -> Result<OAuthToken, String> {
    let current = STATE.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let token = current.unwrap_or_else(|| Err("no credentials of AWS were found yet".to_owned()))?;
    if token.expires <= CLOCK.now() {
        return Err("the token has expired, and there is no other yet".to_owned());
    }
    Ok(OAuthToken { token: token.text, principal_name: String::new(), lifetime_ms: token.expires.0 })
}

impl State {
    /// Takes in a token or why there is none; a token that isn't over yet is better than none.
    fn set(&self, new: Result<Token, String>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if new.is_ok() || !matches!(&*current, Some(Ok(token)) if token.expires > CLOCK.now()) {
            *current = Some(new);
        }
        self.changed.notify_all();
    }

    fn wait_for_first(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(current, FIRST_WAIT, |current| current.is_none()));
    }
}

/// Renews the token for as long as the process lives.
fn keep(region: Option<Region>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return STATE.set(Err(format!("no runtime for tokens: {error}"))),
    };
    runtime.block_on(async {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region {
            loader = loader.region(region);
        }
        let aws = loader.load().await;
        let mut pause = PAUSES.0;
        loop {
            let made = tokio::time::timeout(TRY, make(&aws)).await;
            let made = made.unwrap_or_else(|_| Err(format!("no credentials of AWS within {TRY:?}")));
            let wait = match &made {
                Ok(token) => {
                    pause = PAUSES.0;
                    half_of_life(token.expires, CLOCK.now())
                }
                Err(reason) => {
                    tracing::debug!(reason, "no token for MSK");
                    let longer = (pause * 2).min(PAUSES.1);
                    std::mem::replace(&mut pause, longer)
                }
            };
            STATE.set(made);
            tokio::time::sleep(wait).await;
        }
    });
}

/// Clients ask again when four fifths of a token's life are over: there is a younger one then.
fn half_of_life(expires: UnixMillis, now: UnixMillis) -> Duration {
    let left = u64::try_from(expires.0 - now.0).unwrap_or(0);
    Duration::from_millis(left / 2).max(SHORTEST)
}

async fn make(aws: &SdkConfig) -> Result<Token, String> {
    let region = aws.region().ok_or("no AWS region is known: set kafka.region or AWS_REGION")?;
    let provider = aws.credentials_provider().ok_or("there is no source of AWS credentials")?;
    let credentials = provider.provide_credentials().await;
    sign(region.clone(), credentials.map_err(|error| format!("AWS credentials: {}", chain(&error)))?).await
}

async fn sign(region: Region, credentials: Credentials) -> Result<Token, String> {
    let of_session = credentials.expiry().and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok());
    let of_session = of_session.and_then(|expiry| i64::try_from(expiry.as_millis()).ok());
    let provider = SharedCredentialsProvider::new(credentials);
    let signed = aws_msk_iam_sasl_signer::generate_auth_token_from_credentials_provider(region, provider);
    let (text, expires) = signed.await.map_err(|error| format!("signing: {error}"))?;
    // The brokers don't take it for longer than the credentials last.
    Ok(Token { text, expires: UnixMillis(of_session.map_or(expires, |session| session.min(expires))) })
}

/// An error with its causes: the outermost one says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

#[cfg(test)]
#[path = "msk_iam_tests.rs"]
mod tests;
