//! A valve under a limit that the kernel enforces. Where a control group can be made for it, the group's limit is the budget
//! and 64 MiB: what its process holds, its sockets and the kernel's own for it, all together; the kernel kills it beyond that.
//! Elsewhere the limit is on the process's data (RLIMIT_DATA), which counts address space, touched or not.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::stack::unique;

/// Address space that is set aside for threads' stacks and by the allocator, and never used, in bytes.
const NEVER_TOUCHED: u64 = 512 << 20;

/// What holds a process's memory down.
#[derive(Debug)]
pub(crate) enum HardLimit {
    Group(Group),
    /// RLIMIT_DATA, in bytes.
    Data(u64),
}

impl HardLimit {
    /// A limit of so many bytes, the hardest that there can be here.
    pub(crate) fn new(bytes: u64) -> Self {
        let limit = Group::new(bytes).map_or(Self::Data(bytes + NEVER_TOUCHED), Self::Group);
        match &limit {
            Self::Group(group) => eprintln!("hard limit: the control group {}", group.directory.display()),
            Self::Data(bytes) => {
                eprintln!("hard limit: RLIMIT_DATA of {bytes}, no control group can be made");
            }
        }
        limit
    }

    /// `command` under the limit.
    pub(crate) fn on(&self, command: &Command) -> Command {
        let (script, argument) = match self {
            Self::Group(group) => {
                (r#"echo $$ > "$0" && exec "$@""#, group.file("cgroup.procs").into_os_string())
            }
            Self::Data(bytes) => (r#"ulimit -d "$0" && exec "$@""#, (bytes >> 10).to_string().into()),
        };
        let mut limited = Command::new("/bin/sh");
        limited.args([OsStr::new("-c"), OsStr::new(script), &argument, command.get_program()]);
        limited.args(command.get_args()).env_clear();
        limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited
    }

    /// How many processes the kernel killed for being beyond it, as far as it says.
    pub(crate) fn killed(&self) -> u64 {
        let says = self.says();
        let killed = says.split(", ").find_map(|entry| entry.strip_prefix("oom_kill "));
        killed.map_or(0, |number| number.parse().unwrap())
    }

    /// What the kernel counts: the group's peak in bytes, page cache included, and what the limit came to.
    pub(crate) fn says(&self) -> String {
        let Self::Group(group) = self else { return String::new() };
        let files = [
            "memory.peak",
            "memory.max_usage_in_bytes",
            "memory.failcnt",
            "memory.events",
            "memory.oom_control",
        ];
        let texts = files.map(|name| fs::read_to_string(group.file(name)));
        let texts: String = texts.into_iter().flatten().collect();
        texts.lines().collect::<Vec<_>>().join(", ")
    }
}

/// A control group of a test; removed when dropped, when nothing may run in it any more.
#[derive(Debug)]
pub(crate) struct Group {
    directory: PathBuf,
}

impl Group {
    /// Whether one can be made here.
    pub(crate) fn can_be_made() -> bool {
        Self::new(1 << 30).is_some()
    }

    /// A group with a limit of so many bytes and no swap, below this process's own or beside it; v1's `memory` hierarchy or v2.
    fn new(bytes: u64) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = |controllers: &str| {
            let mut fields = groups.lines().map(|line| line.splitn(3, ':').skip(1));
            let group =
                fields.find_map(|mut line| (line.next() == Some(controllers)).then(|| line.next()).flatten());
            Path::new(group.unwrap_or_default()).strip_prefix("/").unwrap_or(Path::new("")).to_owned()
        };
        let v1 =
            ("/sys/fs/cgroup/memory", own("memory"), "memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
        let v2 = ("/sys/fs/cgroup", own(""), "memory.max", "memory.swap.max");
        [v1, v2].into_iter().find_map(|(mount, own, limit, swap)| {
            own.ancestors().find_map(|parent| {
                let group = Self::below(&Path::new(mount).join(parent))?;
                fs::write(group.file(limit), bytes.to_string()).ok()?;
                // v1 limits both together. Where there is no swap, neither can be set.
                let swap_limit = if swap == "memory.swap.max" { 0 } else { bytes };
                drop(fs::write(group.file(swap), swap_limit.to_string()));
                group.takes_processes().then_some(group)
            })
        })
    }

    fn below(parent: &Path) -> Option<Self> {
        let directory = parent.join(unique("valve-test"));
        // Only in a tree of groups does a new directory come with files.
        parent.join("cgroup.procs").exists().then(|| fs::create_dir(&directory).ok())??;
        Some(Self { directory })
    }

    fn takes_processes(&self) -> bool {
        let mut enter = Command::new("/bin/sh");
        enter.args(["-c", r#"echo $$ > "$0" 2>&-"#]).arg(self.file("cgroup.procs"));
        enter.status().is_ok_and(|status| status.success())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel takes a moment to see that a process has ended.
        for _ in 0..100 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{} is left behind", self.directory.display());
    }
}
