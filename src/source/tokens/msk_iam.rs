//! Amazon MSK's IAM: the token is a presigned URL of `kafka-cluster:Connect`, made by the published signer with the credentials of the
//! AWS SDK's ordinary chain.

use std::time::UNIX_EPOCH;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::Token;
use crate::causes::with_causes;
use crate::types::UnixMillis;

/// What the SDK knows of this machine; with `region` instead of the chain's.
pub(super) async fn load(region: Option<String>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    loader.load().await
}

/// A token, with whatever credentials there are now.
///
/// # Errors
/// Why there is none.
pub(super) async fn make(aws: &SdkConfig) -> Result<Token, String> {
    let region = aws.region().ok_or("no AWS region is known: set kafka.region or AWS_REGION")?;
    let provider = aws.credentials_provider().ok_or("there is no source of AWS credentials")?;
    let credentials = provider.provide_credentials().await;
    sign(region.clone(), credentials.map_err(|error| format!("AWS credentials: {}", with_causes(&error)))?)
        .await
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

#[cfg(test)]
#[path = "msk_iam_tests.rs"]
mod tests;
