//! Label selectors of typed objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use steersman_apimachinery::labels::Selector;

use crate::ReconcileError;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// The selector in the form that matches.
pub(crate) fn selector(wire: &LabelSelector) -> Result<Selector, ReconcileError> {
    let unusable =
        |error: &dyn std::fmt::Display| ReconcileError::Unusable(format!("invalid selector: {error}"));
    let tree = serde_json::to_value(wire).map_err(|error| unusable(&error))?;
    Selector::from_label_selector(Some(&tree)).map_err(|error| unusable(&error))
}

/// Whether the selector chooses an object with these labels.
pub(crate) fn selects(selector: &Selector, labels: Option<&Labels>) -> bool {
    selector.matches(|key| labels.and_then(|labels| labels.get(key)).map(String::as_str))
}

/// Whether `labels` holds every pair of `wanted`. An empty `wanted` is held by all.
pub(crate) fn has_all(wanted: &Labels, labels: Option<&Labels>) -> bool {
    wanted.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}
