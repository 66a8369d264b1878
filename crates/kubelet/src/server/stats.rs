//! Figures: what pods use, as JSON (`/stats/summary`) and for Prometheus (`/metrics`, `/metrics/resource`).

use std::fmt::Write;

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use steersman_cri as cri;

use super::{Body, Handler, json as json_answer, text};
use crate::cri_config::labels;
use crate::text::rpc_error;

impl Handler {
    pub(super) async fn stats(&self) -> Response<Body> {
        match self.pod_stats().await {
            Ok(stats) => {
                let pods: Vec<Value> = stats.iter().filter_map(pod_summary).collect();
                let node = json!({ "nodeName": self.shared.config.node_name, "memory": node_memory() });
                json_answer(&json!({ "node": node, "pods": pods }))
            }
            Err(status) => text(StatusCode::INTERNAL_SERVER_ERROR, rpc_error(&status)),
        }
    }

    pub(super) async fn resource_metrics(&self) -> Response<Body> {
        match self.pod_stats().await {
            Ok(stats) => text(StatusCode::OK, resource_lines(&stats)),
            Err(status) => text(StatusCode::INTERNAL_SERVER_ERROR, rpc_error(&status)),
        }
    }

    pub(super) async fn metrics(&self) -> Response<Body> {
        let pods = self.pods.list();
        let statuses = pods.iter().filter_map(|pod| pod.status.as_ref());
        let states = statuses.flat_map(|status| status.container_statuses.iter().flatten());
        let running =
            states.filter(|s| s.state.as_ref().is_some_and(|state| state.running.is_some())).count();
        let mut out = String::new();
        gauge(&mut out, "kubelet_active_pods", "Pods that this kubelet looks after.", pods.len());
        gauge(&mut out, "kubelet_running_containers", "Containers that run.", running);
        text(StatusCode::OK, out)
    }

    async fn pod_stats(&self) -> Result<Vec<cri::PodSandboxStats>, tonic::Status> {
        let mut service = self.shared.runtime.service.clone();
        Ok(service
            .list_pod_sandbox_stats(cri::ListPodSandboxStatsRequest::default())
            .await?
            .into_inner()
            .stats)
    }
}

fn gauge(out: &mut String, name: &str, help: &str, value: usize) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

fn node_memory() -> Value {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| -> u64 {
        let line = info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let (total, available) = (field("MemTotal:"), field("MemAvailable:"));
    json!({
        "time": Timestamp::now().to_string(),
        "availableBytes": available,
        "usageBytes": total.saturating_sub(field("MemFree:")),
        "workingSetBytes": total.saturating_sub(available),
    })
}

fn pod_summary(stats: &cri::PodSandboxStats) -> Option<Value> {
    let attributes = stats.attributes.as_ref()?;
    let label = |key: &str| attributes.labels.get(key).cloned();
    let reference = json!({
        "name": label(labels::POD_NAME)?,
        "namespace": label(labels::POD_NAMESPACE)?,
        "uid": label(labels::POD_UID)?,
    });
    let linux = stats.linux.clone().unwrap_or_default();
    let containers: Vec<Value> = linux.containers.iter().map(container_summary).collect();
    Some(json!({
        "podRef": reference,
        "containers": containers,
        "cpu": linux.cpu.as_ref().map(cpu),
        "memory": linux.memory.as_ref().map(memory),
        "network": linux.network.as_ref().map(network),
        "process_stats": { "process_count": linux.process.and_then(|process| number(process.process_count.as_ref())) },
    }))
}

fn container_summary(stats: &cri::ContainerStats) -> Value {
    let metadata = stats.attributes.as_ref().and_then(|attributes| attributes.metadata.as_ref());
    json!({
        "name": metadata.map(|metadata| metadata.name.clone()),
        "cpu": stats.cpu.as_ref().map(cpu),
        "memory": stats.memory.as_ref().map(memory),
        "rootfs": stats.writable_layer.as_ref().map(|layer| json!({
            "time": time(layer.timestamp),
            "usedBytes": number(layer.used_bytes.as_ref()),
            "inodesUsed": number(layer.inodes_used.as_ref()),
        })),
    })
}

fn cpu(usage: &cri::CpuUsage) -> Value {
    json!({
        "time": time(usage.timestamp),
        "usageNanoCores": number(usage.usage_nano_cores.as_ref()),
        "usageCoreNanoSeconds": number(usage.usage_core_nano_seconds.as_ref()),
    })
}

fn memory(usage: &cri::MemoryUsage) -> Value {
    json!({
        "time": time(usage.timestamp),
        "availableBytes": number(usage.available_bytes.as_ref()),
        "usageBytes": number(usage.usage_bytes.as_ref()),
        "workingSetBytes": number(usage.working_set_bytes.as_ref()),
        "rssBytes": number(usage.rss_bytes.as_ref()),
        "pageFaults": number(usage.page_faults.as_ref()),
        "majorPageFaults": number(usage.major_page_faults.as_ref()),
    })
}

fn network(usage: &cri::NetworkUsage) -> Value {
    let interface = |usage: &cri::NetworkInterfaceUsage| {
        json!({
            "name": usage.name,
            "rxBytes": number(usage.rx_bytes.as_ref()),
            "rxErrors": number(usage.rx_errors.as_ref()),
            "txBytes": number(usage.tx_bytes.as_ref()),
            "txErrors": number(usage.tx_errors.as_ref()),
        })
    };
    let mut summary = usage.default_interface.as_ref().map_or_else(|| json!({}), interface);
    summary["time"] = json!(time(usage.timestamp));
    summary["interfaces"] = usage.interfaces.iter().map(interface).collect();
    summary
}

fn number(value: Option<&cri::UInt64Value>) -> Option<u64> {
    value.map(|value| value.value)
}

fn time(nanos: i64) -> Option<String> {
    Timestamp::from_nanosecond(i128::from(nanos)).ok().map(|time| time.to_string())
}

/// The figures that autoscalers read.
fn resource_lines(stats: &[cri::PodSandboxStats]) -> String {
    let mut cpu_lines = String::from(
        "# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed by the container in core-seconds\n\
         # TYPE container_cpu_usage_seconds_total counter\n",
    );
    let mut memory_lines = String::from(
        "# HELP container_memory_working_set_bytes Current working set of the container in bytes\n\
         # TYPE container_memory_working_set_bytes gauge\n",
    );
    for pod in stats {
        let Some(attributes) = &pod.attributes else { continue };
        let label = |key: &str| attributes.labels.get(key).map(String::as_str).unwrap_or_default();
        let (name, namespace) = (label(labels::POD_NAME), label(labels::POD_NAMESPACE));
        for container in pod.linux.iter().flat_map(|linux| &linux.containers) {
            let metadata = container.attributes.as_ref().and_then(|attributes| attributes.metadata.as_ref());
            let Some(metadata) = metadata else { continue };
            let who = format!("{{container=\"{}\",namespace=\"{namespace}\",pod=\"{name}\"}}", metadata.name);
            if let Some(usage) = &container.cpu {
                let seconds = number(usage.usage_core_nano_seconds.as_ref()).unwrap_or(0) as f64 / 1e9;
                let at = usage.timestamp / 1_000_000;
                let _ = writeln!(cpu_lines, "container_cpu_usage_seconds_total{who} {seconds} {at}");
            }
            if let Some(usage) = &container.memory {
                let bytes = number(usage.working_set_bytes.as_ref()).unwrap_or(0);
                let at = usage.timestamp / 1_000_000;
                let _ = writeln!(memory_lines, "container_memory_working_set_bytes{who} {bytes} {at}");
            }
        }
    }
    cpu_lines + &memory_lines
}
