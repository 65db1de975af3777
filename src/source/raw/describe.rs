//! What the brokers say of topics and of a group when they are asked to describe them: ids, errors, and what this client may
//! do with each (KIP-430). Asking changes nothing.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataBroker;
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

/// What a client may do with a topic or a group; `None` where the brokers don't say.
pub(crate) type Rights = Option<Vec<Operation>>;

/// The operations of Kafka's access control that bear on valve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
    Describe,
}

/// One topic.
#[derive(Clone, Debug)]
pub(crate) struct DescribedTopic {
    pub(crate) name: String,
    /// Why nothing is known of it.
    pub(crate) error: Option<RDKafkaErrorCode>,
    /// `None` where the brokers don't tell.
    pub(in crate::source) id: Option<u128>,
    pub(crate) rights: Rights,
}

impl DescribedTopic {
    /// Whether this client may not even know of it.
    pub(crate) fn is_denied(&self) -> bool {
        self.error == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
    }
}

#[cfg(test)]
impl DescribedTopic {
    /// A topic that is there.
    pub(crate) fn known(name: &str, rights: Rights) -> Self {
        Self { name: name.to_owned(), error: None, id: None, rights }
    }

    /// One that isn't.
    pub(crate) fn missing(name: &str) -> Self {
        Self { error: Some(RDKafkaErrorCode::UnknownTopicOrPartition), ..Self::known(name, None) }
    }

    /// One that may not be described.
    pub(crate) fn denied(name: &str) -> Self {
        Self { error: Some(RDKafkaErrorCode::TopicAuthorizationFailed), ..Self::known(name, None) }
    }
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct DescribedGroup {
    /// Why nothing is known of it.
    pub(crate) error: Option<RDKafkaErrorCode>,
    /// How many consumers belong to it now.
    pub(crate) members: usize,
    pub(crate) rights: Rights,
}

/// Asks the brokers for the ids of `topics`; a topic that they don't know, or whose id they don't tell, is left out.
/// Blocks for up to `timeout`.
///
/// # Errors
/// A sentence with librdkafka's reason, when there is no answer.
pub(in crate::source) fn topic_ids<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<HashMap<String, u128>, String> {
    let described = describe_topics(consumer.client(), topics, false, timeout)?.into_iter();
    let known = described.filter(|topic| topic.error.is_none());
    Ok(known.filter_map(|topic| Some((topic.name, topic.id?))).collect())
}

/// Asks the brokers whether the client may write to `topic`; `None` when they don't tell. Blocks for up to `timeout`.
///
/// # Errors
/// A sentence with librdkafka's reason, when there is no answer.
pub(in crate::source) fn may_write<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<bool>, String> {
    let described = describe_topics(client, &[topic], true, timeout)?;
    let rights =
        described.into_iter().find(|described| described.error.is_none()).and_then(|topic| topic.rights);
    Ok(rights.map(|granted| granted.contains(&Operation::Write)))
}

/// Asks the brokers to describe `topics`; with `rights`, also what this client may do with them. Blocks for up to `timeout`, and
/// as long for the brokers' names.
///
/// # Errors
/// A sentence with librdkafka's reason, when there is no answer.
pub(in crate::source) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    rights: bool,
    timeout: Duration,
) -> Result<Vec<DescribedTopic>, String> {
    // Any broker knows the answer. Unless told which one to ask, librdkafka asks the controller, which librdkafka's own
    // mock cluster doesn't have.
    let metadata = client
        .fetch_metadata(topics.first().copied(), timeout)
        .map_err(|error| format!("metadata: {error}"))?;
    let broker = metadata.brokers().first().map_or(-1, MetadataBroker::id);
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: the names outlive the collection, which copies them and is destroyed here, behind the request, which copies it;
    // what is read from the event is copied before the event is destroyed.
    unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let send = |client, options, queue| sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        let answer = ask(client, kind, (rights, Some(broker)), timeout, send, |event| read_topics(event));
        sys::rd_kafka_TopicCollection_destroy(collection);
        answer.map_err(|reason| format!("DescribeTopics: {reason}"))
    }
}

/// Asks the group's coordinator to describe `group`, with what this client may do with it. Blocks for up to `timeout`.
///
/// # Errors
/// A sentence with librdkafka's reason, when there is no answer.
pub(in crate::source) fn describe_group<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    timeout: Duration,
) -> Result<DescribedGroup, String> {
    let name = CString::new(group).map_err(|error| error.to_string())?;
    let mut pointers = [name.as_ptr()];
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    // SAFETY: the name outlives the call, which copies it; what is read from the event is copied before it is destroyed.
    unsafe {
        let send = |client, options, queue| {
            sys::rd_kafka_DescribeConsumerGroups(client, pointers.as_mut_ptr(), 1, options, queue);
        };
        ask(client, kind, (true, None), timeout, send, |event| read_group(event))
    }
}

/// Sends a request of the admin API and waits for its answer. Asks the broker with the given id, if there is one.
///
/// # Safety
/// `send` must send just one request of this kind, with these options and to this queue; `read` must copy what it returns.
unsafe fn ask<C: ClientContext, T>(
    client: &Client<C>,
    kind: sys::rd_kafka_admin_op_t,
    (rights, broker): (bool, Option<i32>),
    timeout: Duration,
    send: impl FnOnce(*mut sys::rd_kafka_t, *const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    read: impl FnOnce(*mut sys::rd_kafka_event_t) -> Result<T, String>,
) -> Result<T, String> {
    let client = client.native_ptr();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive, as it was borrowed. Everything that is made here is destroyed here, in the reverse
    // order, errors of options included.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let options = sys::rd_kafka_AdminOptions_new(client, kind);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        if let Some(broker) = broker {
            sys::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
        }
        if rights {
            let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
            if !refused.is_null() {
                sys::rd_kafka_error_destroy(refused);
            }
        }
        send(client, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, millis);
        let answer = if event.is_null() { Err("no answer in time".to_owned()) } else { checked(event, read) };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_queue_destroy(queue);
        answer
    }
}

/// # Safety
/// `event` must be alive until this returns.
unsafe fn checked<T>(
    event: *mut sys::rd_kafka_event_t,
    read: impl FnOnce(*mut sys::rd_kafka_event_t) -> Result<T, String>,
) -> Result<T, String> {
    // SAFETY: the event is alive by the caller's promise; its error string is a C string.
    unsafe {
        if sys::rd_kafka_event_error(event) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(CStr::from_ptr(sys::rd_kafka_event_error_string(event))
                .to_string_lossy()
                .into_owned());
        }
    }
    read(event)
}

/// # Safety
/// `event` must be alive until this returns.
unsafe fn read_topics(event: *mut sys::rd_kafka_event_t) -> Result<Vec<DescribedTopic>, String> {
    // SAFETY: the event is alive by the caller's promise, and so is all that belongs to it; names are C strings.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err("an answer of another kind".to_owned());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let topic = |index| {
            let topic = *topics.add(index);
            let mut operations = 0;
            let rights = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut operations);
            DescribedTopic {
                name: CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic))
                    .to_string_lossy()
                    .into_owned(),
                error: error_of(sys::rd_kafka_TopicDescription_error(topic)),
                id: id_of(sys::rd_kafka_TopicDescription_topic_id(topic)),
                rights: rights_of(rights, operations),
            }
        };
        Ok((0..count).map(topic).collect())
    }
}

/// # Safety
/// `event` must be alive until this returns.
unsafe fn read_group(event: *mut sys::rd_kafka_event_t) -> Result<DescribedGroup, String> {
    // SAFETY: the event is alive by the caller's promise, and so is all that belongs to it.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event);
        if result.is_null() {
            return Err("an answer of another kind".to_owned());
        }
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if count == 0 {
            return Err("an answer without the group".to_owned());
        }
        let group = *groups;
        let mut operations = 0;
        let rights = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut operations);
        Ok(DescribedGroup {
            error: error_of(sys::rd_kafka_ConsumerGroupDescription_error(group)),
            members: sys::rd_kafka_ConsumerGroupDescription_member_count(group),
            rights: rights_of(rights, operations),
        })
    }
}

/// # Safety
/// `error` must be null or alive.
unsafe fn error_of(error: *const sys::rd_kafka_error_t) -> Option<RDKafkaErrorCode> {
    if error.is_null() {
        return None;
    }
    // SAFETY: it is alive by the caller's promise.
    let code = unsafe { sys::rd_kafka_error_code(error) };
    (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

/// # Safety
/// `id` must be null or alive.
unsafe fn id_of(id: *const sys::rd_kafka_Uuid_t) -> Option<u128> {
    if id.is_null() {
        return None;
    }
    // SAFETY: it is alive by the caller's promise.
    let (high, low) = unsafe {
        (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id))
    };
    let id = u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned());
    (id != 0).then_some(id)
}

/// # Safety
/// Unless null, `operations` must point to `count` of them.
unsafe fn rights_of(operations: *const sys::rd_kafka_AclOperation_t, count: usize) -> Rights {
    use sys::rd_kafka_AclOperation_t as Acl;
    if operations.is_null() || count == 0 {
        return None;
    }
    // SAFETY: the caller's promise.
    let operations = unsafe { std::slice::from_raw_parts(operations, count) };
    let known = operations.iter().filter_map(|operation| match operation {
        Acl::RD_KAFKA_ACL_OPERATION_READ => Some(Operation::Read),
        Acl::RD_KAFKA_ACL_OPERATION_WRITE => Some(Operation::Write),
        Acl::RD_KAFKA_ACL_OPERATION_DESCRIBE => Some(Operation::Describe),
        _ => None,
    });
    Some(known.collect())
}
