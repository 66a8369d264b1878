//! How a command's end is told on the error stream (`remotecommand` protocol versions 1 to 5).

use bytes::Bytes;
use serde_json::json;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this code.
    Exited(i32),
    /// It could not be run, or its streams failed.
    Failed(String),
}

impl Outcome {
    /// What goes onto the error stream. From version 4 on it is a `Status`; before, plain text and nothing on success.
    pub(crate) fn message(&self, version: u8) -> Option<Bytes> {
        if version >= 4 {
            return Some(self.status().to_string().into());
        }
        match self {
            Self::Exited(0) => None,
            Self::Exited(code) => Some(format!("command terminated with non-zero exit code: {code}").into()),
            Self::Failed(why) => Some(why.clone().into()),
        }
    }

    fn status(&self) -> serde_json::Value {
        match self {
            Self::Exited(0) => json!({ "metadata": {}, "status": "Success" }),
            Self::Exited(code) => json!({
                "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!("command terminated with non-zero exit code: exit status {code}"),
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
            }),
            Self::Failed(why) => json!({
                "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": format!("Internal error occurred: error executing command in container: {why}"),
                "details": { "causes": [{ "message": format!("error executing command in container: {why}") }] },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_a_status_from_version_four_on() {
        assert_eq!(Outcome::Exited(0).message(3), None);
        let message = Outcome::Exited(0).message(4).expect("a status");
        assert_eq!(message, r#"{"metadata":{},"status":"Success"}"#);
    }

    #[test]
    fn the_exit_code_is_a_cause() {
        let status = Outcome::Exited(7).status();
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0], json!({ "reason": "ExitCode", "message": "7" }));
    }
}
