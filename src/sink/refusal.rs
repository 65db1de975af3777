//! What an S3-compatible store answers when it doesn't do as asked, what that means for a put, and what a person
//! can do about it.
//!
//! Codes are those of "Error responses" in the S3 API reference. The text never holds credentials: it is made of
//! the store's code and message, not of the request. It holds nothing that differs from one attempt to the next
//! either (no request id), so that a lasting trouble is logged once.

use std::fmt;

/// A request that failed.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// The HTTP status; `None` when there was no answer.
    pub(super) status: Option<u16>,
    /// The store's code, for example `SlowDown`. A HEAD has none.
    pub(super) code: Option<String>,
    /// The store's message, or why there was no answer.
    pub(super) message: String,
    /// The region that the bucket is in, where the store says so.
    pub(super) region: Option<String>,
}

/// What a failed write says about the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The condition failed: an object is there.
    Exists,
    /// The store doesn't know the condition (or another thing that was asked of it).
    NotImplemented,
    /// Nobody knows: the bytes may have arrived.
    NoAnswer,
    /// It was not written.
    Refused,
}

impl Refusal {
    pub(super) fn meaning(&self) -> Meaning {
        match (self.status, self.code.as_deref()) {
            (_, Some("PreconditionFailed")) | (Some(412), _) => Meaning::Exists,
            (_, Some("NotImplemented")) | (Some(501), _) => Meaning::NotImplemented,
            // A success that cannot be read, or was cut off, is none.
            (None | Some(200..=299), None) | (None, Some(_)) => Meaning::NoAnswer,
            _ => Meaning::Refused,
        }
    }

    /// Whether the upload isn't there: completed, or aborted, by whomever.
    pub(super) fn is_no_such_upload(&self) -> bool {
        self.code.as_deref() == Some("NoSuchUpload")
    }

    /// Whether the store knows who asks, and doesn't allow it.
    pub(super) fn is_missing_permission(&self) -> bool {
        let by_code =
            matches!(self.code.as_deref(), None | Some("AccessDenied" | "Forbidden" | "UnauthorizedAccess"));
        by_code && matches!(self.status, Some(401 | 403))
    }

    /// Whether it is about a key of KMS.
    pub(super) fn names_a_kms_key(&self) -> bool {
        self.message.contains("kms:") || self.code.as_deref().is_some_and(|code| code.starts_with("KMS"))
    }

    /// What happened, without what to do about it.
    pub(super) fn without_advice(&self) -> String {
        let text = self.to_string();
        text.strip_suffix(&format!(" ({})", self.advice())).map(str::to_owned).unwrap_or(text)
    }

    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        let by_code = match self.code.as_deref().unwrap_or_default() {
            "NoSuchBucket" => "create the bucket, or correct sink.bucket, sink.region or sink.endpoint",
            "NoSuchUpload" => "start this file again",
            // The last one is versitygw's.
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "XAdminUserNotFound" => {
                "the store doesn't accept the credentials: check them and sink.region"
            }
            "ExpiredToken" | "TokenRefreshRequired" => "the credentials have expired: renew them",
            "RequestTimeTooSkewed" => "set this machine's clock",
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => return self.region_advice(),
            "SlowDown" | "RequestLimitExceeded" | "Throttling" | "ThrottlingException" => {
                "the store throttles; valve slows down and goes on by itself"
            }
            "AccessControlListNotSupported" => "the bucket allows no ACLs: remove sink.acl",
            "InvalidObjectState" => {
                "the object is archived (a life cycle rule moved it to a Glacier class): restore it, or leave what is below \
                 sink.prefix out of that rule"
            }
            "InvalidStorageClass" => "correct sink.storage_class",
            code if code.starts_with("KMS") => "check sink.kms_key_id and the permission to use that key",
            _ => "",
        };
        if by_code.is_empty() { self.advice_by_status() } else { by_code.to_owned() }
    }

    fn advice_by_status(&self) -> String {
        match self.status {
            Some(301 | 307) => return self.region_advice(),
            Some(401 | 403) => {
                "allow s3:PutObject, s3:GetObject and s3:AbortMultipartUpload on the bucket's objects, and \
                 s3:ListBucket (without it a missing object looks denied) and s3:ListBucketMultipartUploads on \
                 the bucket"
            }
            Some(404) => "check sink.bucket and sink.endpoint",
            Some(409) => "another writer is at this key; start again",
            Some(429 | 503) => "the store throttles or is overloaded; valve slows down and goes on by itself",
            Some(501) => {
                "the store doesn't offer what sink.* asks for: check sink.acl, sse and storage_class"
            }
            Some(500..) => "the store has a problem; valve tries again by itself",
            None => "check sink.endpoint, sink.region, the network and the credentials",
            Some(_) => "check the sink.* settings",
        }
        .to_owned()
    }

    fn region_advice(&self) -> String {
        match &self.region {
            Some(region) => format!("the bucket is in another region: set sink.region to {region}"),
            None => "the bucket is in another region or at another endpoint: correct sink.region".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, "HTTP {status} {code}")?,
            (Some(status), None) => write!(f, "HTTP {status}")?,
            (None, _) => write!(f, "no answer")?,
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write!(f, " ({})", self.advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> Refusal {
        let code = Some(code.to_owned()).filter(|code| !code.is_empty());
        Refusal { status: Some(status), code, ..Refusal::default() }
    }

    #[test]
    fn given_an_error_inside_a_200_then_its_code_decides() {
        assert_eq!(refusal(200, "PreconditionFailed").meaning(), Meaning::Exists);
        assert_eq!(refusal(200, "InternalError").meaning(), Meaning::Refused);
    }

    #[test]
    fn given_no_code_then_the_status_decides() {
        assert_eq!(refusal(412, "").meaning(), Meaning::Exists);
        assert_eq!(refusal(501, "").meaning(), Meaning::NotImplemented);
        assert_eq!(refusal(503, "").meaning(), Meaning::Refused);
        assert_eq!(Refusal::default().meaning(), Meaning::NoAnswer);
        let cut_off = Refusal { status: Some(200), ..Refusal::default() };
        assert_eq!(cut_off.meaning(), Meaning::NoAnswer);
    }

    #[test]
    fn given_a_refusal_then_its_text_says_what_to_do() {
        for (status, code, advice) in [
            (403, "AccessDenied", "s3:PutObject"),
            (403, "InvalidAccessKeyId", "check them"),
            (400, "ExpiredToken", "renew"),
            (404, "NoSuchBucket", "create the bucket"),
            (404, "NoSuchUpload", "start this file again"),
            (409, "ConditionalRequestConflict", "start again"),
            (503, "SlowDown", "throttles"),
            (400, "KMS.NotFoundException", "sink.kms_key_id"),
            (301, "", "sink.region"),
        ] {
            let text = refusal(status, code).to_string();
            assert!(text.contains(advice), "{text}");
        }
    }
}
