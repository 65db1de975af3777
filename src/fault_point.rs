//! Places where a test makes the process die or stand still: just there, where a crash would hurt. Without the feature
//! `fault-points` there are none.

/// Where a process can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// Records were taken, and nothing of them is promised.
    Filling,
    /// The promise is committed, and no file is stored.
    Promised,
    /// A file is stored.
    Stored,
    /// All files are stored and all dead letters acknowledged, and `end` isn't committed.
    Published,
    /// `end` is committed.
    Committed,
    /// The registry's answer is there, and the lane hasn't heard it.
    Schema,
    /// Dead letters' records were sent again, and that isn't committed.
    Replaying,
}

/// Says that the process is at `point`.
#[cfg(not(feature = "fault-points"))]
pub(crate) fn reach(_point: Point) {}

/// Whether what is at `point` gets lost.
#[cfg(not(feature = "fault-points"))]
pub(crate) fn loses(_point: Point) -> bool {
    false
}

#[cfg(feature = "fault-points")]
pub(crate) use armed::{loses, reach};

#[cfg(feature = "fault-points")]
mod armed {
    use std::path::{Path, PathBuf};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::Point;
    use crate::config;

    /// `FAULT_POINT=<point>[:<n>][:on][:hold=<file>]`: at the n-th time (the first), with `on` also at every later one,
    /// abort; with `hold`, stand still until the file is there. At a point that loses something, that gets lost instead.
    struct Plan {
        point: String,
        at: u32,
        on: bool,
        hold: Option<PathBuf>,
        reached: AtomicU32,
    }

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| config::fault_point().map(|text| plan(&text)));

    fn plan(text: &str) -> Plan {
        let mut parts = text.split(':');
        let point = parts.next().unwrap_or_default().to_owned();
        let rest: Vec<_> = parts.collect();
        let at = rest.iter().find_map(|part| part.parse().ok()).unwrap_or(1);
        let hold = rest.iter().find_map(|part| part.strip_prefix("hold=")).map(PathBuf::from);
        Plan { point, at, on: rest.contains(&"on"), hold, reached: AtomicU32::new(0) }
    }

    /// Says that the process is at `point`.
    pub(crate) fn reach(point: Point) {
        let Some(plan) = due(point) else { return };
        let Some(file) = &plan.hold else { std::process::abort() };
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::task::block_in_place(|| hold(file));
        } else {
            hold(file);
        }
    }

    /// Whether what is at `point` gets lost.
    pub(crate) fn loses(point: Point) -> bool {
        due(point).is_some()
    }

    /// The plan, if it is for `point` and for this time.
    fn due(point: Point) -> Option<&'static Plan> {
        let plan = PLAN.as_ref().filter(|plan| plan.point == format!("{point:?}").to_lowercase())?;
        let times = plan.reached.fetch_add(1, Ordering::Relaxed) + 1;
        if times < plan.at || times > plan.at && !plan.on {
            return None;
        }
        tracing::error!(point = plan.point, "fault point reached");
        Some(plan)
    }

    fn hold(file: &Path) {
        while !file.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
