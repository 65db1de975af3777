//! How much memory there is, and how much of it this process uses.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The bytes that this process may use: the smallest of the limits of its control group and the groups around that
/// (cgroup v2, or v1's `memory` hierarchy), and the machine's memory.
#[must_use]
pub fn container_limit() -> u64 {
    limit_under(Path::new("/"))
}

/// The same for a process that sees its `/proc` and its mounts under `root`.
fn limit_under(root: &Path) -> u64 {
    let groups = text(&root.join("proc/self/cgroup"));
    let mounts = text(&root.join("proc/self/mountinfo"));
    let limits = mounts.lines().filter_map(Hierarchy::mounted).flat_map(|hierarchy| {
        let files = hierarchy.limit_files(&groups);
        files.into_iter().filter_map(|file| number(&text(&root.join(file.strip_prefix("/").ok()?))))
    });
    limits.chain(machine(root)).min().unwrap_or(u64::MAX)
}

/// A mounted tree of groups that limit memory.
struct Hierarchy {
    /// The group that is seen at `at`: the whole tree's root, or a container's group.
    top: PathBuf,
    at: PathBuf,
    unified: bool,
}

impl Hierarchy {
    /// What a line of `mountinfo` says (proc_pid_mountinfo(5)), if it is such a tree.
    fn mounted(line: &str) -> Option<Self> {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3).map(unescaped);
        let (top, at) = (fields.next()?, fields.next()?);
        let mut source = source.split(' ');
        let unified = match source.next()? {
            "cgroup2" => true,
            "cgroup" if source.nth(1)?.split(',').any(|option| option == "memory") => false,
            _ => return None,
        };
        Some(Self { top, at, unified })
    }

    /// Where the limits are that hold for a process in `groups` (its `/proc/self/cgroup`): from its group up to the mount.
    fn limit_files(&self, groups: &str) -> Vec<PathBuf> {
        let file = if self.unified { "memory.max" } else { "memory.limit_in_bytes" };
        let below = groups.lines().find_map(|line| self.below(line)).unwrap_or_default();
        below.ancestors().map(|group| self.at.join(group).join(file)).collect()
    }

    /// Where below the mount the group is that a line of `/proc/self/cgroup` names, if the line is about this tree. A
    /// container without a namespace of its own sees the machine's name of its group, and that group mounted. What lies
    /// outside of the mount can't be seen: then the mount is the nearest.
    fn below(&self, line: &str) -> Option<PathBuf> {
        let (_, line) = line.split_once(':')?;
        let (controllers, group) = line.split_once(':')?;
        let ours = if self.unified {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|controller| controller == "memory")
        };
        let below = Path::new(group).strip_prefix(&self.top).ok().filter(|_| ours)?;
        below.components().all(|part| matches!(part, Component::Normal(_))).then(|| below.to_owned())
    }
}

/// Blanks and backslashes in a path stand in `mountinfo` as octal numbers.
fn unescaped(field: &str) -> PathBuf {
    field.replace(r"\040", " ").replace(r"\134", r"\").into()
}

/// `MemTotal` of the machine, in bytes.
fn machine(root: &Path) -> Option<u64> {
    kibibytes(&root.join("proc/meminfo"), "MemTotal:")
}

/// The resident memory of this process in bytes (`VmRSS`); `None` where the system doesn't say.
#[must_use]
pub fn resident() -> Option<u64> {
    kibibytes(Path::new("/proc/self/status"), "VmRSS:")
}

fn kibibytes(path: &Path, name: &str) -> Option<u64> {
    let text = text(path);
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    number(line.trim().strip_suffix("kB")?)?.checked_mul(1024)
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// What a file says; nothing if it can't be read.
fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    /// What v1 says where there is no limit.
    const NONE: u64 = 0x7fff_ffff_ffff_f000;

    /// A root directory of a machine with 1 GiB, its mounts and a process's groups.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(mounts: &str, groups: &str) -> Self {
            let machine = Self(tempfile::tempdir().expect("a directory"));
            machine.with("proc/meminfo", "MemTotal:        1048576 kB\nMemFree: 1 kB\n");
            machine.with("proc/self/mountinfo", mounts);
            machine.with("proc/self/cgroup", groups);
            machine
        }

        fn with(&self, path: &str, text: impl AsRef<[u8]>) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("it isn't the root")).expect("a directory");
            fs::write(path, text).expect("a file");
        }

        /// Sets limits in MiB, of groups under a directory.
        fn limits<const N: usize>(self, under: &str, file: &str, limits: [(&str, u64); N]) -> Self {
            for (group, mebibytes) in limits {
                self.with(&format!("{under}/{group}/{file}"), format!("{}\n", mebibytes * MIB));
            }
            self
        }

        fn v2<const N: usize>(self, limits: [(&str, u64); N]) -> Self {
            self.limits("sys/fs/cgroup", "memory.max", limits)
        }

        fn v1<const N: usize>(self, limits: [(&str, u64); N]) -> Self {
            self.limits("sys/fs/cgroup/memory", "memory.limit_in_bytes", limits)
        }

        fn limit(&self) -> u64 {
            limit_under(self.0.path()) / MIB
        }
    }

    const UNIFIED: &str = "24 1 0:22 / /proc rw - proc proc rw\n\
        31 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn of_v1(top: &str) -> String {
        format!(
            "35 31 0:31 {top} /sys/fs/cgroup/cpu,cpuacct rw master:2 - cgroup cgroup rw,cpu,cpuacct\n\
             36 31 0:32 {top} /sys/fs/cgroup/memory rw shared:1 master:3 - cgroup cgroup rw,memory\n"
        )
    }

    #[test]
    fn given_no_groups_then_it_is_the_machines_memory() {
        assert_eq!(Machine::new("", "").limit(), 1024);
        assert_eq!(Machine::new(UNIFIED, "0::/\n").limit(), 1024);
        let nothing = tempfile::tempdir().expect("a directory");
        assert_eq!(limit_under(nothing.path()), u64::MAX);
    }

    #[test]
    fn given_a_group_of_v2_in_others_then_the_smallest_limit_of_all_counts() {
        let machine = || Machine::new(UNIFIED, "0::/valve.slice/valve.service\n");
        assert_eq!(machine().v2([("valve.slice/valve.service", 300), ("valve.slice", 400)]).limit(), 300);
        assert_eq!(machine().v2([("valve.slice/valve.service", 300), ("valve.slice", 200)]).limit(), 200);
        assert_eq!(
            machine().v2([("valve.slice/valve.service", 300), ("", 100), ("other.slice", 5)]).limit(),
            100
        );
        assert_eq!(machine().v2([("valve.slice/valve.service", 5000)]).limit(), 1024);
    }

    #[test]
    fn given_no_limit_in_the_inner_group_of_v2_then_the_outer_ones_counts() {
        let machine = Machine::new(UNIFIED, "0::/a/b\n").v2([("a", 200)]);
        machine.with("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(machine.limit(), 200);
    }

    #[test]
    fn given_a_group_of_v1_in_others_then_the_smallest_limit_of_the_memory_hierarchy_counts() {
        let groups = "5:cpu,cpuacct:/small\n4:memory:/a/b\n0::/\n";
        let machine = || Machine::new(&of_v1("/"), groups).v1([("", NONE / MIB), ("small", 5)]);
        assert_eq!(machine().v1([("a/b", 300), ("a", 400)]).limit(), 300);
        assert_eq!(machine().v1([("a/b", 300), ("a", 200)]).limit(), 200);
        assert_eq!(machine().v1([("a/b", NONE / MIB)]).limit(), 1024);
    }

    #[test]
    fn given_a_container_without_a_namespace_then_its_group_is_found_where_it_is_mounted() {
        let container = |group: &str| Machine::new(&of_v1("/docker/c0ffee"), &format!("4:memory:{group}\n"));
        assert_eq!(container("/docker/c0ffee").v1([("", 200)]).limit(), 200);
        assert_eq!(container("/docker/c0ffee/worker").v1([("", 200), ("worker", 100)]).limit(), 100);
        // In a group that isn't seen from here, the mounted one may be around it, or beside it: nothing else is known.
        assert_eq!(container("/elsewhere").v1([("", 200), ("elsewhere", 5)]).limit(), 200);
        assert_eq!(container("/docker/c0ffee/../other").v1([("", 200)]).limit(), 200);
    }

    #[test]
    fn given_both_versions_then_the_one_with_limits_counts() {
        let mounts = of_v1("/") + "38 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let machine = Machine::new(&mounts, "4:memory:/a\n0::/user.slice\n").v1([("a", 200)]);
        assert_eq!(machine.limit(), 200);
    }

    #[test]
    fn given_a_group_with_a_blank_and_a_backslash_in_its_name_then_it_is_found() {
        let machine = Machine::new(&of_v1(r"/my\040\134x2d"), "4:memory:/my \\x2d/in\n").v1([("in", 100)]);
        assert_eq!(machine.limit(), 100);
    }

    #[test]
    fn given_contents_that_make_no_sense_then_they_are_passed_over() {
        let mounts = "\n - \n36\n36 31 0:32 / /sys - cgroup\n36 31 0:32 / /sys - cgroup cgroup\n - cgroup2\n36 31 0:32 / relative - cgroup2 c rw\n";
        let machine = Machine::new(&format!("{mounts}{UNIFIED}"), ":\n::\n0:\n::::\n0::relative\n0::/a\n");
        for odd in [&b""[..], b"-1\n", b"99999999999999999999999\n", b"max\n", b"\xff\xfe", b"1 2\n"] {
            machine.with("sys/fs/cgroup/a/memory.max", odd);
            assert_eq!(machine.limit(), 1024);
        }
        machine.with("sys/fs/cgroup/a/memory.max", "104857600");
        assert_eq!(machine.limit(), 100);
    }

    proptest! {
        #[test]
        fn given_any_contents_then_the_limit_is_never_more_than_the_machines_memory(
            mounts in any::<String>(),
            fields in "([ -~]{0,8} ){0,8}- cgroup2? [ -~]{0,8} [ -~]{0,8}",
            groups in "([0-9]?:[a-z,]{0,6}:[ -~]{0,9}\n){0,4}",
        ) {
            let machine = Machine::new(&format!("{mounts}\n{fields}\n{UNIFIED}"), &groups);
            prop_assert!(machine.limit() <= 1024);
        }
    }
}
