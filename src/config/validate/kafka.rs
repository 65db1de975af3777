//! `kafka.*`, `group.*`, and the setting that both decide on, `rebalance.grace`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::syntax::{base_url, broker, choice, one_line, region};
use crate::config::check::Checker;
use crate::config::error::Problem;
use crate::config::settings::PROPERTIES;
use crate::config::value::duration;
use crate::config::{
    Assignment, GroupConfig, GroupProtocol, Isolation, KafkaAuth, KafkaConfig, Oidc, Secret,
};

/// librdkafka's default of `max.poll.interval.ms`.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(300);

/// A librdkafka property that cannot be given, why not, and what to do instead.
struct Owned {
    property: &'static str,
    why: &'static str,
    instead: &'static str,
}

const fn owned(property: &'static str, why: &'static str, instead: &'static str) -> Owned {
    Owned { property, why, instead }
}

const COMMITS: &str = "valve alone commits offsets, and only what is durable";
const REMOVE: &str = "remove it";

/// What belongs to valve (docs/protocol.md, "What belongs to valve"), under all names that librdkafka has for it.
const OWNED: &[Owned] = &[
    owned("bootstrap.servers", "valve has a setting for the brokers", "use `kafka.bootstrap_servers`"),
    owned("metadata.broker.list", "valve has a setting for the brokers", "use `kafka.bootstrap_servers`"),
    owned("enable.auto.commit", COMMITS, REMOVE),
    owned("auto.commit.enable", COMMITS, REMOVE),
    owned("enable.auto.offset.store", COMMITS, REMOVE),
    owned("group.id", "the valve's name is its consumer group", "use `name`"),
    owned("group.instance.id", "a static member would hold its partitions after it is gone", REMOVE),
    owned("group.protocol", "valve has a setting for it", "use `group.protocol`"),
    owned("partition.assignment.strategy", "valve has a setting for it", "use `group.assignment`"),
    owned("auto.offset.reset", "a silent reset loses or doubles records", "use `start` and `out_of_range`"),
    owned("isolation.level", "valve has a setting for it", "use `group.isolation`"),
    owned("enable.partition.eof", "valve decides whether it hears of a partition's end", REMOVE),
    owned("acks", "a dead letter counts only when all replicas have it", REMOVE),
    owned("request.required.acks", "a dead letter counts only when all replicas have it", REMOVE),
    owned("enable.idempotence", "a dead letter must not be repeated by the client", REMOVE),
    owned("delivery.report.only.error", "a dead letter counts only when it is acknowledged", REMOVE),
    owned("message.timeout.ms", "valve decides when a dead letter is tried again", REMOVE),
    owned("delivery.timeout.ms", "valve decides when a dead letter is tried again", REMOVE),
    owned(
        "transactional.id",
        "replays have one of their own, and nothing else is sent in transactions",
        REMOVE,
    ),
];

/// What librdkafka refuses under KIP-848, where the broker decides.
const BROKER_DECIDES: &[&str] =
    &["session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type", "group.remote.assignor"];

/// The settings `kafka.*`.
pub(super) fn kafka(settings: &mut Checker) -> Option<KafkaConfig> {
    let bootstrap_servers = settings.required_list("kafka.bootstrap_servers", |items| {
        if items.is_empty() {
            return Err("the list is empty".into());
        }
        Ok(items.iter().map(|item| broker(item)).collect::<Result<Vec<_>, _>>()?.join(","))
    });
    let mut properties = BTreeMap::new();
    for property in settings.properties() {
        let name = format!("{PROPERTIES}{property}");
        let value = settings.optional(&name, |text| {
            property_is_free(&property)?;
            Ok(Secret::new(text))
        });
        if let Some(value) = value {
            properties.insert(property, value);
        }
    }
    let auth = auth(settings);
    Some(KafkaConfig { bootstrap_servers: bootstrap_servers?, auth, properties })
}

/// What `kafka.auth` decides on.
const OF_AUTH: &[&str] =
    &["security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password"];

const ONLY_MSK_IAM: &[&str] = &["kafka.region"];
const ONLY_OIDC: &[&str] =
    &["kafka.oidc.token_url", "kafka.oidc.client_id", "kafka.oidc.client_secret", "kafka.oidc.scope"];

#[derive(Clone, Copy)]
enum Auth {
    MskIam,
    Oidc,
}

fn auth(settings: &mut Checker) -> Option<KafkaAuth> {
    let kind = settings
        .optional("kafka.auth", |text| choice(text, &[("msk-iam", Auth::MskIam), ("oidc", Auth::Oidc)]));
    if kind.is_some() {
        refuse(
            settings,
            OF_AUTH.iter().map(|property| format!("{PROPERTIES}{property}")),
            "`kafka.auth` decides on it",
        );
    } else if settings.is_given("kafka.auth") {
        return None;
    }
    if !matches!(kind, Some(Auth::MskIam)) {
        refuse(settings, ONLY_MSK_IAM.iter(), "it needs `kafka.auth` = `msk-iam`");
    }
    if !matches!(kind, Some(Auth::Oidc)) {
        refuse(settings, ONLY_OIDC.iter(), "it needs `kafka.auth` = `oidc`");
    }
    match kind? {
        Auth::MskIam => Some(KafkaAuth::MskIam { region: settings.optional("kafka.region", region) }),
        Auth::Oidc => oidc(settings).map(KafkaAuth::Oidc),
    }
}

/// Refuses those of the settings that are given.
fn refuse(settings: &mut Checker, names: impl Iterator<Item = impl AsRef<str>>, why: &str) {
    for name in names {
        if settings.is_given(name.as_ref()) {
            settings.refuse(name.as_ref(), why.into());
        }
    }
}

fn oidc(settings: &mut Checker) -> Option<Oidc> {
    let token_url = settings.required("kafka.oidc.token_url", base_url);
    let client_id = settings.required("kafka.oidc.client_id", one_line);
    let client_secret = settings.required("kafka.oidc.client_secret", |text| Ok(Secret::new(text)));
    let scope = settings.optional("kafka.oidc.scope", |text| Ok(text.to_owned()));
    Some(Oidc { token_url: token_url?, client_id: client_id?, client_secret: client_secret?, scope })
}

fn property_is_free(property: &str) -> Result<(), Problem> {
    if let Some(owned) = OWNED.iter().find(|owned| owned.property == property) {
        let sentence = format!("this property belongs to valve: {}", owned.why);
        return Err(Problem::with_hint(sentence, owned.instead));
    }
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_');
    if property.is_empty() || !property.bytes().all(is_plain) {
        return Err("librdkafka's properties have lower-case letters, digits and dots".into());
    }
    Ok(())
}

/// The settings `group.*`.
pub(super) fn group(settings: &mut Checker) -> Option<GroupConfig> {
    let protocol = settings.required("group.protocol", |text| {
        choice(text, &[("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)])
    });
    let assignment = settings.required("group.assignment", |text| {
        let known = [
            ("cooperative-sticky", Assignment::CooperativeSticky),
            ("range", Assignment::Range),
            ("roundrobin", Assignment::RoundRobin),
        ];
        choice(text, &known)
    });
    let isolation = settings.required("group.isolation", |text| {
        let known =
            [("read_committed", Isolation::ReadCommitted), ("read_uncommitted", Isolation::ReadUncommitted)];
        choice(text, &known)
    });
    if protocol == Some(GroupProtocol::Consumer) {
        refuse_what_the_broker_decides(settings);
    }
    Some(GroupConfig { protocol: protocol?, assignment: assignment?, isolation: isolation? })
}

fn refuse_what_the_broker_decides(settings: &mut Checker) {
    let properties = BROKER_DECIDES.iter().map(|property| format!("{PROPERTIES}{property}"));
    for name in properties.chain(["group.assignment".to_owned()]) {
        if settings.is_given(&name) {
            let hint = "remove it, or set `group.protocol` to `classic`";
            let sentence = "the broker decides on it under `group.protocol` = `consumer`";
            settings.refuse(&name, Problem::with_hint(sentence, hint));
        }
    }
}

/// `rebalance.grace`, which must end before the group takes the member for dead.
pub(super) fn rebalance_grace(settings: &mut Checker) -> Option<Duration> {
    let property = format!("{PROPERTIES}max.poll.interval.ms");
    let given = settings.optional(&property, |text| {
        let millis = text.trim().parse().ok().filter(|millis| *millis > 0);
        millis.map(Duration::from_millis).ok_or_else(|| "it is not a number of milliseconds".into())
    });
    let limit = given.unwrap_or(MAX_POLL_INTERVAL);
    settings.required("rebalance.grace", |text| match duration(text)? {
        Duration::ZERO => Err("it must be longer than nothing".into()),
        grace if grace >= limit => {
            let millis = limit.as_millis();
            Err(format!("it must be shorter than the property `max.poll.interval.ms`, which is {millis} ms")
                .into())
        }
        grace => Ok(grace),
    })
}
