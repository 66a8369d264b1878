//! Between the two forms of an event: the same values under other names.

use serde_json::Map;
use steersman_apimachinery::Tree;

use crate::tree::{Read, Write};

/// Fields that differ: the core name, and the name in `events.k8s.io`.
const RENAMED: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// Makes a core event of one of `events.k8s.io`.
pub(super) fn to_core(event: &mut Tree) {
    rename(event, |name| RENAMED.iter().find(|(_, new)| *new == name).map(|(core, _)| *core));
    event.set("apiVersion", "v1");
}

/// Makes an event of `events.k8s.io` of a core one.
pub(super) fn from_core(event: &mut Tree) {
    rename(event, |name| RENAMED.iter().find(|(core, _)| *core == name).map(|(_, new)| *new));
    event.set("apiVersion", "events.k8s.io/v1");
}

/// The field of the core name `name`, in whichever form the event is.
pub(super) fn either<'a>(event: &'a Tree, name: &str) -> &'a Tree {
    let new = RENAMED.iter().find(|(core, _)| *core == name).map_or(name, |(_, new)| new);
    if event.has(name) { event.at(name) } else { event.at(new) }
}

fn rename(event: &mut Tree, name_of: impl Fn(&str) -> Option<&'static str>) {
    let Some(map) = event.as_object_mut() else { return };
    let renamed: Map<String, Tree> = std::mem::take(map)
        .into_iter()
        .map(|(name, value)| match name_of(&name) {
            Some(other) => (other.to_owned(), value),
            None => (name, value),
        })
        .collect();
    *map = renamed;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_forms_convert_into_each_other() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Started",
            "involvedObject": {"kind": "Pod"}, "message": "m", "reportingComponent": "kubelet", "count": 2,
            "source": {"component": "kubelet"}, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": null,
        });
        let new = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Started",
            "regarding": {"kind": "Pod"}, "note": "m", "reportingController": "kubelet", "deprecatedCount": 2,
            "deprecatedSource": {"component": "kubelet"}, "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
            "deprecatedLastTimestamp": null,
        });
        let mut tree = core.clone();
        from_core(&mut tree);
        assert_eq!(tree, new);
        to_core(&mut tree);
        assert_eq!(tree, core);
    }
}
