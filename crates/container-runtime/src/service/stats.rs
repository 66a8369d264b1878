//! Resource use of containers and sandboxes, from their cgroups.

use std::collections::HashMap;
use std::sync::Arc;

use steersman_cri as cri;
use tonic::Status;

use super::state::{Container, Inner, Sandbox, blocking};
use super::status::{id_matches, labels_match};
use crate::cgroup::{Cgroup, Stats};
use crate::shim::now_ns;

impl Inner {
    pub async fn container_stats(&self, container: &Container) -> Result<cri::ContainerStats, Status> {
        let record = container.record();
        let (stats, now) = self.read_stats(record.spec.cgroup_path).await?;
        let cores = stats.cpu_nanoseconds.and_then(|cpu| container.cores(now, cpu));
        let config = record.config;
        Ok(cri::ContainerStats {
            attributes: Some(cri::ContainerAttributes {
                id: record.id,
                metadata: config.metadata,
                labels: config.labels,
                annotations: config.annotations,
            }),
            cpu: Some(cpu_usage(&stats, now, cores)),
            memory: Some(memory_usage(&stats, now)),
            writable_layer: None,
            swap: Some(cri::SwapUsage {
                timestamp: now,
                swap_available_bytes: value(
                    stats.swap_limit_bytes.map(|l| l.saturating_sub(stats.swap_bytes.unwrap_or_default())),
                ),
                swap_usage_bytes: value(stats.swap_bytes),
            }),
            io: None,
        })
    }

    pub async fn sandbox_stats(&self, sandbox: &Sandbox) -> Result<cri::PodSandboxStats, Status> {
        let record = sandbox.record();
        let (stats, now) = self.read_stats(record.cgroup_parent).await?;
        let mut containers = Vec::new();
        for container in self.containers_of(&sandbox.id) {
            if container.state() == cri::ContainerState::ContainerRunning {
                containers.push(self.container_stats(&container).await?);
            }
        }
        let config = record.config;
        Ok(cri::PodSandboxStats {
            attributes: Some(cri::PodSandboxAttributes {
                id: record.id,
                metadata: config.metadata,
                labels: config.labels,
                annotations: config.annotations,
            }),
            linux: Some(cri::LinuxPodSandboxStats {
                cpu: Some(cpu_usage(&stats, now, None)),
                memory: Some(memory_usage(&stats, now)),
                network: self.network_usage(sandbox, now).await,
                process: Some(cri::ProcessUsage { timestamp: now, process_count: value(stats.pids) }),
                containers,
                io: None,
            }),
        })
    }

    async fn read_stats(&self, path: String) -> Result<(Stats, i64), Status> {
        let layout = self.layout.clone();
        let read = move || Cgroup::new(&layout, &path).stats();
        Ok((blocking("could not read a cgroup", read).await?.unwrap_or_default(), now_ns()))
    }

    /// The links of a pod, as any process of it sees them; `None` while there is no process to look through.
    async fn network_usage(&self, sandbox: &Sandbox, now: i64) -> Option<cri::NetworkUsage> {
        let pid = self.containers_of(&sandbox.id).iter().find_map(|c| c.run.borrow().pid)?;
        let text = tokio::fs::read_to_string(format!("/proc/{pid}/net/dev")).await.ok()?;
        let (default, others) = interfaces(&text).into_iter().partition::<Vec<_>, _>(|i| i.name == "eth0");
        let default_interface = default.into_iter().next();
        Some(cri::NetworkUsage { timestamp: now, default_interface, interfaces: others })
    }

    /// Running containers that pass a filter.
    pub fn containers_for_stats(&self, filter: Option<cri::ContainerStatsFilter>) -> Vec<Arc<Container>> {
        let filter = filter.unwrap_or_default();
        let mut all = self.all_containers();
        all.retain(|c| {
            let record = c.record.lock();
            c.state() == cri::ContainerState::ContainerRunning
                && id_matches(&record.id, &filter.id)
                && id_matches(&record.sandbox, &filter.pod_sandbox_id)
                && labels_match(&record.config.labels, &filter.label_selector)
        });
        all
    }

    /// Ready sandboxes that pass a filter.
    pub fn sandboxes_for_stats(&self, filter: Option<cri::PodSandboxStatsFilter>) -> Vec<Arc<Sandbox>> {
        let filter = filter.unwrap_or_default();
        let passes = |id: &str, labels: &HashMap<String, String>| {
            id_matches(id, &filter.id) && labels_match(labels, &filter.label_selector)
        };
        let mut all = self.all_sandboxes();
        all.retain(|s| s.is_ready() && passes(&s.id, &s.record.lock().config.labels));
        all
    }
}

impl Container {
    /// Billionths of a core used since the last call; `None` the first time.
    fn cores(&self, now: i64, cpu: u64) -> Option<u64> {
        let (then, before) = self.cpu_sample.lock().replace((now, cpu))?;
        let elapsed = u128::try_from(now - then).ok().filter(|e| *e > 0)?;
        let used = u128::from(cpu.saturating_sub(before));
        u64::try_from(used * 1_000_000_000 / elapsed).ok()
    }
}

fn value(number: Option<u64>) -> Option<cri::UInt64Value> {
    number.map(|value| cri::UInt64Value { value })
}

fn cpu_usage(stats: &Stats, timestamp: i64, cores: Option<u64>) -> cri::CpuUsage {
    cri::CpuUsage {
        timestamp,
        usage_core_nano_seconds: value(stats.cpu_nanoseconds),
        usage_nano_cores: value(cores),
        psi: None,
    }
}

fn memory_usage(stats: &Stats, timestamp: i64) -> cri::MemoryUsage {
    let available = stats
        .memory_limit_bytes
        .map(|limit| limit.saturating_sub(stats.working_set_bytes.unwrap_or_default()));
    cri::MemoryUsage {
        timestamp,
        working_set_bytes: value(stats.working_set_bytes),
        available_bytes: value(available),
        usage_bytes: value(stats.memory_bytes),
        rss_bytes: value(stats.rss_bytes),
        page_faults: value(stats.page_faults),
        major_page_faults: value(stats.major_page_faults),
        psi: None,
    }
}

/// Reads `/proc/net/dev`, without the loopback link.
fn interfaces(text: &str) -> Vec<cri::NetworkInterfaceUsage> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let at = |i: usize| value(numbers.get(i).copied());
        Some(cri::NetworkInterfaceUsage {
            name: name.trim().to_owned(),
            rx_bytes: at(0),
            rx_errors: at(2),
            tx_bytes: at(8),
            tx_errors: at(10),
        })
    };
    text.lines().filter_map(line).filter(|i| i.name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_from_the_kernel_table() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs|bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 1 2 0 0 0 0 0 20 1 3 0 0 0 0 0\n";
        let found = interfaces(text);
        assert_eq!(found.len(), 1);
        let got = [&found[0].rx_bytes, &found[0].rx_errors, &found[0].tx_bytes, &found[0].tx_errors];
        assert_eq!(got.map(|v| v.as_ref().unwrap().value), [10, 2, 20, 3]);
    }
}
