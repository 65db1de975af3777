//! Tokens for OAUTHBEARER (`kafka.auth`).
//!
//! The process has one token, which a thread of its own renews long before it expires; a client that wants one is given that and
//! never waits, since the lanes' clients ask while they are polled. Without a token, the client says why, tries again ten seconds
//! later, and valve waits as for any outage of Kafka.

use std::sync::{Condvar, LazyLock, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::client::OAuthToken;

use crate::clock::{Clock as _, SystemClock};
use crate::config::KafkaAuth;
use crate::types::UnixMillis;

mod msk_iam;
mod oidc;

/// How long the first client waits for the first token. What takes longer is an outage.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How long one try may take: the AWS SDK's chain asks one source after the other.
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

/// Begins to keep a token, once for the process, and waits a moment for the first.
pub(super) fn begin(auth: &KafkaAuth) {
    static BEGUN: OnceLock<()> = OnceLock::new();
    BEGUN.get_or_init(|| {
        let auth = auth.clone();
        let spawned = thread::Builder::new().name("tokens".to_owned()).spawn(move || keep(auth));
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
    let token = current.unwrap_or_else(|| Err("there is no token yet".to_owned()))?;
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
fn keep(auth: KafkaAuth) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return STATE.set(Err(format!("no runtime for tokens: {error}"))),
    };
    runtime.block_on(async {
        match auth {
            KafkaAuth::MskIam { region } => {
                let aws = msk_iam::load(region).await;
                renew(async || msk_iam::make(&aws).await).await;
            }
            KafkaAuth::Oidc(provider) => match oidc::client() {
                Ok(client) => renew(async || oidc::make(&client, &provider).await).await,
                Err(reason) => STATE.set(Err(reason)),
            },
        }
    });
}

async fn renew(make: impl AsyncFn() -> Result<Token, String>) {
    let mut pause = PAUSES.0;
    loop {
        let made = tokio::time::timeout(TRY, make()).await;
        let made = made.unwrap_or_else(|_| Err(format!("no token within {TRY:?}")));
        let wait = match &made {
            Ok(token) => {
                pause = PAUSES.0;
                half_of_life(token.expires, CLOCK.now())
            }
            Err(reason) => {
                tracing::debug!(reason, "no token for Kafka");
                let longer = (pause * 2).min(PAUSES.1);
                std::mem::replace(&mut pause, longer)
            }
        };
        STATE.set(made);
        tokio::time::sleep(wait).await;
    }
}

/// Clients ask again when four fifths of a token's life are over: there is a younger one then.
fn half_of_life(expires: UnixMillis, now: UnixMillis) -> Duration {
    let left = u64::try_from(expires.0.saturating_sub(now.0)).unwrap_or(0);
    Duration::from_millis(left / 2).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_token_then_it_is_renewed_at_half_of_its_life_and_an_older_one_stays_while_it_lasts() {
        let now = CLOCK.now();
        assert_eq!(half_of_life(UnixMillis(now.0 + 900_000), now), Duration::from_secs(450));
        for over in [now.0 - 1, i64::MIN] {
            assert_eq!(half_of_life(UnixMillis(over), now), SHORTEST);
        }

        let state = State { current: Mutex::default(), changed: Condvar::new() };
        let stands = || state.current.lock().unwrap().clone().unwrap().map(|token| token.text);
        let token = |text: &str, expires| Ok(Token { text: text.to_owned(), expires: UnixMillis(expires) });
        state.set(Err("denied".to_owned()));
        assert_eq!(stands(), Err("denied".to_owned()));
        state.set(token("a", now.0 + 60_000));
        state.set(Err("denied".to_owned()));
        assert_eq!(stands(), Ok("a".to_owned()), "one that lasts is better than none");
        state.set(token("b", now.0 - 1));
        state.set(Err("denied".to_owned()));
        assert_eq!(stands(), Err("denied".to_owned()));
    }
}
