//! Lifecycle hooks: a command, a request, a connection or a pause.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use steersman_cri::ExecSyncRequest;

use crate::http_client;
use crate::probe::check::{Target, host_port, resolve_port};
use crate::text::rpc_error;

/// Runs a hook to its end. The error is for the log and the event.
pub(super) async fn run(
    target: &Target,
    container: &Container,
    hook: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        return run_command(target, exec.command.clone().unwrap_or_default()).await;
    }
    if let Some(get) = &hook.http_get {
        let port = resolve_port(&get.port, container)?;
        let host = get.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.pod_ip);
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let path = get.path.as_deref().unwrap_or_default().trim_start_matches('/');
        let headers: Vec<(String, String)> = get
            .http_headers
            .iter()
            .flatten()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect();
        let url = format!("{scheme}://{}/{path}", host_port(host, port));
        // Any answer will do: the hook was called.
        return http_client::get(&url, &headers).await.map(drop).map_err(|error| error.to_string());
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
        return Ok(());
    }
    Err("invalid handler".to_owned())
}

async fn run_command(target: &Target, cmd: Vec<String>) -> Result<(), String> {
    let request = ExecSyncRequest { container_id: target.container_id.clone(), cmd: cmd.clone(), timeout: 0 };
    let answer = target.runtime.clone().exec_sync(request).await;
    let response = answer.map_err(|status| rpc_error(&status))?.into_inner();
    if response.exit_code == 0 {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&[response.stdout, response.stderr].concat()).into_owned();
    let command = cmd.join(" ");
    Err(format!("command '{command}' exited with {}: {output}", response.exit_code))
}
