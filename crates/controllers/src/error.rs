//! Why a key could not be reconciled.

/// The queue tries the key again in any case; the message is for the log.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server refused a request, or could not be reached.
    #[error("{action} failed")]
    Api {
        /// What was tried, such as `creating the pod`.
        action: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The object holds something that the controller cannot work with.
    #[error("{0}")]
    Unusable(String),
}

impl ReconcileError {
    /// Whether the cache was behind what is stored. Looking again mends it, so it is nothing to report.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Api { source, .. } if is_conflict(source) || is_taken(source))
    }

    /// What the API server said, as an event or a condition quotes it.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Api { source, .. } => api_message(source),
            Self::Unusable(message) => message.clone(),
        }
    }
}

/// The `Status` message of an error, or its own text when the server gave none.
pub(crate) fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Says what was tried when it fails.
pub(crate) trait During<T> {
    fn during(self, action: impl Into<String>) -> Result<T, ReconcileError>;
    /// The same, but that the object is gone is an answer, not an error.
    fn unless_gone(self, action: impl Into<String>) -> Result<Option<T>, ReconcileError>;
}

impl<T> During<T> for Result<T, kube::Error> {
    fn during(self, action: impl Into<String>) -> Result<T, ReconcileError> {
        self.map_err(|source| ReconcileError::Api { action: action.into(), source: Box::new(source) })
    }

    fn unless_gone(self, action: impl Into<String>) -> Result<Option<T>, ReconcileError> {
        match self {
            Err(error) if is_gone(&error) => Ok(None),
            other => other.map(Some).during(action),
        }
    }
}

/// The object does not exist.
pub(crate) fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// A precondition did not hold: the object changed meanwhile.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict")
}

/// An object of this name is there already.
pub(crate) fn is_taken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == "AlreadyExists")
}

/// The namespace is being deleted, so nothing can be created in it and no retry helps.
pub(crate) fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}
