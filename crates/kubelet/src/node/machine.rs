//! What the machine is and has: read once at the start.

use std::fs;
use std::path::Path;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use nix::sys::statvfs::statvfs;

use crate::quantity::ResourceList;

/// Facts that do not change while the kubelet runs.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Memory, bytes.
    pub memory_bytes: i64,
    /// All there is.
    pub capacity: ResourceList,
    /// What pods may have of it.
    pub allocatable: ResourceList,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// UUID of the hardware.
    pub system_uuid: String,
    /// Changes with each boot.
    pub boot_id: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the distribution.
    pub os_image: String,
    /// Name of the host.
    pub hostname: String,
}

/// Memory kept back, so that the node is not full before it notices (upstream's hard eviction threshold).
const MEMORY_RESERVE: i64 = 100 << 20;
/// Share of the disk kept back, percent, for the same reason.
const DISK_RESERVE_PERCENT: u64 = 10;

impl Machine {
    /// Reads the machine; `root_dir` is where the disk of pods is.
    pub fn read(root_dir: &Path, max_pods: u32) -> Self {
        let memory_bytes = memory_bytes(&read("/proc/meminfo"));
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let disk = disk_bytes(root_dir);
        let list = |memory: i64, disk: u64, unit: &str| -> ResourceList {
            let disk = if unit.is_empty() { disk.to_string() } else { format!("{}{unit}", disk / 1024) };
            [
                ("cpu", cpus.to_string()),
                ("memory", format!("{}Ki", memory / 1024)),
                ("pods", max_pods.to_string()),
                ("ephemeral-storage", disk),
                ("hugepages-1Gi", "0".to_owned()),
                ("hugepages-2Mi", "0".to_owned()),
            ]
            .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
            .into()
        };
        let uts = nix::sys::utsname::uname();
        let word = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
        Self {
            memory_bytes,
            capacity: list(memory_bytes, disk, "Ki"),
            allocatable: list(
                (memory_bytes - MEMORY_RESERVE).max(0),
                disk / 100 * (100 - DISK_RESERVE_PERCENT),
                "",
            ),
            machine_id: read("/etc/machine-id"),
            system_uuid: first_of(&["/sys/class/dmi/id/product_uuid", "/etc/machine-id"]),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel: uts.as_ref().map(|uts| word(uts.release())).unwrap_or_default(),
            os_image: os_image(&first_of(&["/etc/os-release", "/usr/lib/os-release"])),
            hostname: uts.as_ref().map(|uts| word(uts.nodename())).unwrap_or_default(),
        }
    }
}

/// `amd64`, `arm64`, …, as images and labels name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Memory that is free to use, bytes, and whether the disk of `dir` and the process table have room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Less memory is left than the reserve.
    pub memory: bool,
    /// Less disk is left than the reserve.
    pub disk: bool,
    /// Less process ids are left than a tenth.
    pub pids: bool,
}

impl Pressure {
    /// Looks at the machine now.
    pub fn look(root_dir: &Path) -> Self {
        let available = field(&read("/proc/meminfo"), "MemAvailable:").unwrap_or(i64::MAX / 1024) * 1024;
        let disk = statvfs(existing(root_dir)).is_ok_and(|stat| {
            let (all, free) = (stat.blocks().max(1), stat.blocks_available());
            free * 100 / all < DISK_RESERVE_PERCENT / 2
        });
        Self { memory: available < MEMORY_RESERVE, disk, pids: pids_are_short() }
    }
}

fn pids_are_short() -> bool {
    let max: u64 = read("/proc/sys/kernel/pid_max").parse().unwrap_or(u64::MAX);
    let running = read("/proc/loadavg");
    let tasks =
        running.split_whitespace().nth(3).and_then(|part| part.split_once('/')?.1.parse::<u64>().ok());
    tasks.is_some_and(|tasks| tasks > max / 10 * 9)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn first_of(paths: &[&str]) -> String {
    paths.iter().map(|path| read(path)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn memory_bytes(meminfo: &str) -> i64 {
    field(meminfo, "MemTotal:").unwrap_or(0) * 1024
}

fn field(meminfo: &str, name: &str) -> Option<i64> {
    let line = meminfo.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn disk_bytes(dir: &Path) -> u64 {
    statvfs(existing(dir)).map(|stat| stat.blocks() * stat.fragment_size()).unwrap_or(0)
}

/// The directory, or the nearest one above that exists.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"))
}

fn os_image(os_release: &str) -> String {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches('"').to_owned())
    };
    value("PRETTY_NAME=").unwrap_or_else(|| "Linux".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_machine_are_read() {
        assert_eq!(memory_bytes("MemTotal:       16 kB\nMemFree: 1 kB\n"), 16 * 1024);
        assert_eq!(os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(existing(Path::new("/proc/no/such")), Path::new("/proc"));
    }

    #[test]
    fn this_machine_has_something_to_give() {
        let machine = Machine::read(Path::new("/nonexistent"), 110);
        assert_eq!(machine.capacity["pods"].0, "110");
        assert!(crate::quantity::value(&machine.allocatable["memory"]) < machine.memory_bytes);
        assert!(crate::quantity::value(&machine.capacity["ephemeral-storage"]) > 0);
    }
}
