//! Probing by a command in the container.

use std::time::Duration;

use steersman_cri::ExecSyncRequest;
use tonic::Code;

use super::check::{Answer, Target};
use crate::text::{go_duration, go_quote as quote};

/// Output of a command that goes into an event, bytes.
const MAX_OUTPUT: usize = 10 * 1024;

/// Runs the command; exit code 0 is success.
pub async fn ask(target: &Target, command: &[String], timeout: Duration) -> Answer {
    let request = ExecSyncRequest {
        container_id: target.container_id.clone(),
        cmd: command.to_vec(),
        timeout: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
    };
    let mut runtime = target.runtime.clone();
    // The runtime keeps the time; this is only for a runtime that does not answer.
    let patience = timeout + Duration::from_secs(5);
    let timed_out = || {
        let command = quote(&command.join(" "));
        Answer::Failure(format!("command timed out: {command} timed out after {}", go_duration(timeout)))
    };
    match tokio::time::timeout(patience, runtime.exec_sync(request)).await {
        Err(_) => timed_out(),
        Ok(Err(status)) if status.code() == Code::DeadlineExceeded => timed_out(),
        Ok(Err(status)) => Answer::Unknown(crate::text::rpc_error(&status)),
        Ok(Ok(response)) => {
            let response = response.into_inner();
            let mut output = response.stdout;
            output.extend_from_slice(&response.stderr);
            output.truncate(MAX_OUTPUT);
            match response.exit_code {
                0 => Answer::Success,
                _ => Answer::Failure(String::from_utf8_lossy(&output).into_owned()),
            }
        }
    }
}
