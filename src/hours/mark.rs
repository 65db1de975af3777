//! Leaves `_SUCCESS` in the folders of finished hours: an empty object, by which readers know that they may begin.
//!
//! It is put where there is none yet, by whoever comes first, and never taken back. Only folders get one that hold a file of
//! this valve and this topic, and whose hour, as that file's header says it, is finished.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};

use crate::core::layout::{Hour, KeyTemplate};
use crate::sink::{Body, Digest, Sink, SinkError, Stored};
use crate::stored::{Recognised, Store};

/// The mark's name in its folder, as Hadoop's committers have it.
pub(crate) const NAME: &str = "_SUCCESS";

/// How many folders are looked into at once.
const AT_ONCE: usize = 16;

/// What stands for the digest of an object without rows.
const NO_ROWS: Digest = Digest(0);

/// Marks hours of the valve's topics.
#[derive(Debug)]
pub(crate) struct Marker {
    sink: Arc<dyn Sink>,
    store: Store,
    template: KeyTemplate,
    prefix: String,
}

impl Marker {
    /// Marks for the valve `name`, with its files in `sink` under these settings.
    ///
    /// # Errors
    /// A sentence, when an hour of a topic has no folder of its own under `template`.
    pub(crate) fn new(
        sink: Arc<dyn Sink>,
        name: &str,
        template: &KeyTemplate,
        prefix: &str,
    ) -> Result<Self, String> {
        if template.hour_folder(prefix, "topic", Hour(0)).is_none() {
            return Err(format!(
                "--mark needs a layout.key in which each hour of each topic has a folder of its own, with {{topic}}, \
                 {{year}}, {{month}}, {{day}} and {{hour}} before the last slash; it is {template}"
            ));
        }
        let store = Store::new(Arc::clone(&sink), name);
        Ok(Self { sink, store, template: template.clone(), prefix: prefix.to_owned() })
    }

    /// Marks the finished hour `hour` of `topic`, if it has files: the mark's key, if it is new.
    ///
    /// # Errors
    /// When the sink gives up.
    pub(crate) async fn mark(&self, topic: &str, hour: Hour) -> Result<Option<String>, SinkError> {
        match self.folder(topic, hour) {
            Some(folder) => self.mark_folder(folder, topic, Hour(hour.0.saturating_add(1))).await,
            None => Ok(None),
        }
    }

    /// Marks all hours of `topic` before `end`, which are finished, as far as they have files: the new marks' keys. Lists
    /// all of the topic's files.
    ///
    /// # Errors
    /// When the sink gives up.
    pub(crate) async fn mark_before(&self, topic: &str, end: Hour) -> Result<Vec<String>, SinkError> {
        let unmarked = self.unmarked(topic).await?;
        let marks = iter(unmarked).map(|folder| self.mark_folder(folder, topic, end));
        let mut marked: Vec<String> =
            marks.buffer_unordered(AT_ONCE).try_filter_map(|key| ready(Ok(key))).try_collect().await?;
        marked.sort_unstable();
        Ok(marked)
    }

    fn folder(&self, topic: &str, hour: Hour) -> Option<String> {
        self.template.hour_folder(&self.prefix, topic, hour)
    }

    /// The folders in which something lies that may be of the topic, and no mark.
    async fn unmarked(&self, topic: &str) -> Result<Vec<String>, SinkError> {
        let root = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let prefix = self.template.topic_prefix(&self.prefix, topic).unwrap_or(root);
        let mut marked: BTreeMap<String, bool> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.sink.list(&prefix, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for (folder, name) in page.iter().filter_map(|listed| listed.key.rsplit_once('/')) {
                match marked.get_mut(folder) {
                    Some(marked) => *marked |= name == NAME,
                    None => drop(marked.insert(folder.to_owned(), name == NAME)),
                }
            }
        }
        Ok(marked.into_iter().filter(|(_, marked)| !marked).map(|(folder, _)| folder).collect())
    }

    /// Marks a folder if it is one of the topic with an hour before `end`. The first file of this valve there tells.
    async fn mark_folder(&self, folder: String, topic: &str, end: Hour) -> Result<Option<String>, SinkError> {
        let mut files = self.store.list(format!("{folder}/")).boxed();
        while let Some(listed) = files.try_next().await? {
            let Some(Recognised::Own(header)) = self.store.recognise(&listed.key).await? else { continue };
            let file = header.file;
            let is_finished = *file.partition.topic == *topic && file.hour < end;
            return if is_finished && self.folder(topic, file.hour).as_ref() == Some(&folder) {
                self.put(format!("{folder}/{NAME}")).await
            } else {
                Ok(None)
            };
        }
        Ok(None)
    }

    async fn put(&self, key: String) -> Result<Option<String>, SinkError> {
        match self.sink.put(&key, NO_ROWS, Body::default()).await {
            Ok(Stored::Created) => Ok(Some(key)),
            // Whoever put it there said the same.
            Ok(Stored::AlreadyThere) | Err(SinkError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::layout::DEFAULT_KEY;
    use crate::sink::memory::MemorySink;
    use crate::stored::tests::own_file;

    const UUID: &str = "3ac93d9f-271d-57c4-aab8-65f109857053";

    fn folder(topic: &str, hour: &str) -> String {
        format!("tank/{topic}/year=2026/month=11/day=23/hour={hour}")
    }

    fn mark(topic: &str, hour: &str) -> String {
        format!("{}/_SUCCESS", folder(topic, hour))
    }

    fn hour(hour: &str) -> Hour {
        format!("2026-11-23T{hour}").parse().unwrap()
    }

    fn put(sink: &MemorySink, topic: &str, at: &str) {
        let key = format!("{}/{topic}_9-messages_{UUID}.avro", folder(topic, at));
        sink.put_foreign(key, own_file(topic, &format!("2026-11-23T{at}")));
    }

    fn marker(sink: &Arc<MemorySink>) -> Marker {
        let sink: Arc<dyn Sink> = Arc::clone(sink) as Arc<dyn Sink>;
        Marker::new(sink, "archive", &DEFAULT_KEY.parse().unwrap(), "tank").unwrap()
    }

    fn marks(sink: &MemorySink) -> Vec<String> {
        sink.objects().into_keys().filter(|key| key.ends_with(NAME)).collect()
    }

    #[tokio::test]
    async fn given_finished_hours_with_files_then_each_is_marked_once_and_no_other() {
        let sink = Arc::new(MemorySink::new());
        for (topic, hour) in [("orders", "06"), ("orders", "07"), ("orders", "08"), ("orders2", "06")] {
            put(&sink, topic, hour);
        }
        let expected = [mark("orders", "06"), mark("orders", "07")];
        assert_eq!(marker(&sink).mark_before("orders", hour("08")).await.unwrap(), expected);
        assert_eq!(marks(&sink), expected);
        assert!(sink.objects()[&expected[0]].body.is_empty());
        assert_eq!(marker(&sink).mark_before("orders", hour("08")).await.unwrap(), [""; 0]);
        assert_eq!(marker(&sink).mark_before("orders", hour("09")).await.unwrap(), [mark("orders", "08")]);
    }

    #[tokio::test]
    async fn given_one_hour_then_it_is_marked_if_it_has_files_whoever_marked_it_before() {
        let sink = Arc::new(MemorySink::new());
        assert_eq!(marker(&sink).mark("orders", hour("07")).await.unwrap(), None, "nothing lies there");
        put(&sink, "orders", "07");
        put(&sink, "orders", "08");
        assert_eq!(marker(&sink).mark("orders", hour("07")).await.unwrap(), Some(mark("orders", "07")));
        assert_eq!(marker(&sink).mark("orders", hour("07")).await.unwrap(), None);
        sink.put_foreign(mark("orders", "08"), Body::default());
        assert_eq!(
            marker(&sink).mark("orders", hour("08")).await.unwrap(),
            None,
            "another tool's, in its place"
        );
        assert_eq!(sink.objects()[&mark("orders", "08")].digest, None);
    }

    #[tokio::test]
    async fn given_folders_without_files_of_this_valve_then_they_stay_unmarked() {
        let sink = Arc::new(MemorySink::new());
        let foreign = format!("{}/{UUID}.avro", folder("orders", "05"));
        sink.put_foreign(foreign, Body::new(vec![bytes::Bytes::from_static(b"Obj?")]));
        sink.put_foreign(format!("{}/readme", folder("orders", "04")), Body::default());
        // A file of hour 03 in a folder that isn't its own.
        let astray = format!("{}/{UUID}.avro", folder("orders", "02"));
        sink.put_foreign(astray, own_file("orders", "2026-11-23T03"));
        assert_eq!(marker(&sink).mark_before("orders", hour("08")).await.unwrap(), [""; 0]);
        assert_eq!(marks(&sink), [""; 0]);
    }

    #[tokio::test]
    async fn given_marks_from_several_places_at_once_then_each_is_told_by_one() {
        let sink = Arc::new(MemorySink::new());
        for at in 0..20 {
            put(&sink, "orders", &format!("{at:02}"));
        }
        let (one, other) = (marker(&sink), marker(&sink));
        let end = hour("20");
        let (one, other) = tokio::join!(one.mark_before("orders", end), other.mark_before("orders", end));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.len() + other.len(), 20);
        assert_eq!(marks(&sink).len(), 20);
    }

    #[test]
    fn given_a_layout_without_a_folder_for_each_hour_then_marking_is_refused_with_what_it_needs() {
        let sink: Arc<dyn Sink> = Arc::new(MemorySink::new());
        let template = "{topic}/{year}{month}{day}/{hour}_{uuid}".parse().unwrap();
        let refused = Marker::new(sink, "archive", &template, "tank").unwrap_err();
        assert!(refused.contains("layout.key") && refused.contains("{hour}"), "{refused}");
    }
}
