//! How a lane and its machine are doing: CPU used, CPU waited for, CPU withheld.

use std::fs;
use std::path::PathBuf;

use crate::clock;
use crate::interval::Health;

/// What a lane's thread got of the CPU since it was last asked.
pub(super) struct LaneCpu {
    cpu_ns: u64,
    wall_ns: u64,
    run_delay_ns: u64,
}

impl LaneCpu {
    /// Call on the lane's own thread.
    pub(super) fn new() -> Self {
        LaneCpu { cpu_ns: clock::thread_cpu_ns(), wall_ns: clock::now_ns(), run_delay_ns: run_delay_ns() }
    }

    /// Fills in the time since the last call, on the lane's own thread.
    pub(super) fn lap(&mut self, health: &mut Health) {
        let now = LaneCpu::new();
        health.busy_ns = now.cpu_ns.saturating_sub(self.cpu_ns);
        health.wall_ns = now.wall_ns.saturating_sub(self.wall_ns);
        health.starved_ns = now.run_delay_ns.saturating_sub(self.run_delay_ns);
        *self = now;
    }
}

/// Time that the calling thread was ready to run and waited for a CPU, ns: the second field of schedstat. 0 on kernels
/// without it.
fn run_delay_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// CPU throttling of this process's control group, version 2 or 1; all zero where there is none.
#[derive(Debug, Default)]
pub struct CgroupCpu {
    file: Option<PathBuf>,
    throttled_ns: u64,
    periods: u64,
}

impl CgroupCpu {
    /// Finds the control group of this process and remembers its counters.
    pub fn new() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let file = stat_files(&groups).into_iter().find(|path| path.is_file());
        let mut cpu = CgroupCpu { file, throttled_ns: 0, periods: 0 };
        (cpu.throttled_ns, cpu.periods) = cpu.read();
        cpu
    }

    /// Fills in what was withheld since the last call.
    pub fn lap(&mut self, health: &mut Health) {
        let (throttled_ns, periods) = self.read();
        health.throttled_ns = throttled_ns.saturating_sub(self.throttled_ns);
        health.throttled_periods = periods.saturating_sub(self.periods);
        (self.throttled_ns, self.periods) = (throttled_ns, periods);
    }

    fn read(&self) -> (u64, u64) {
        let text = self.file.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        throttling(&text)
    }
}

/// Where cpu.stat may lie, given /proc/self/cgroup. Inside a container the group's own path is not visible and its
/// files are at the mount's root.
fn stat_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = path.trim_start_matches('/');
        let roots: &[&str] = match controllers {
            "" => &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
            list if list.split(',').any(|name| name == "cpu") => &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"],
            _ => continue,
        };
        for root in roots {
            files.push(PathBuf::from(root).join(path).join("cpu.stat"));
            files.push(PathBuf::from(root).join("cpu.stat"));
        }
    }
    files
}

/// (throttled ns, throttled periods) of a cpu.stat: v2 counts microseconds, v1 nanoseconds.
fn throttling(text: &str) -> (u64, u64) {
    let (mut ns, mut periods) = (0, 0);
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let value: u64 = value.trim().parse().unwrap_or(0);
        match name {
            "throttled_usec" => ns = value * 1000,
            "throttled_time" => ns = value,
            "nr_throttled" => periods = value,
            _ => {}
        }
    }
    (ns, periods)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_of_both_versions_is_read() {
        let v2 = "usage_usec 10\nnr_periods 5\nnr_throttled 2\nthrottled_usec 1500\n";
        let v1 = "nr_periods 5\nnr_throttled 2\nthrottled_time 1500000\n";
        assert_eq!(throttling(v2), (1_500_000, 2));
        assert_eq!(throttling(v1), (1_500_000, 2));
        assert_eq!(throttling(""), (0, 0));
    }

    #[test]
    fn the_own_group_comes_before_the_root() {
        let files = stat_files("4:memory:/a\n1:cpu,cpuacct:/b/c\n0::/d\n");
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(names[0], "/sys/fs/cgroup/cpu/b/c/cpu.stat");
        assert!(names.contains(&"/sys/fs/cgroup/d/cpu.stat".to_owned()));
        assert!(!names.iter().any(|name| name.contains("/a/")));
    }
}
