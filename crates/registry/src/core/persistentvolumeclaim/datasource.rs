//! What a new volume is filled with. There are two fields for it (KEP-1495): `dataSource`, where clients once could
//! write anything and only claims and snapshots counted, and `dataSourceRef`, where everything counts.

use serde_json::json;
use steersman_apimachinery::Tree;

use crate::tree::{Read, Write};

/// Drops what does not count, then makes both fields say the same. `old` is the stored spec; null on create.
pub(super) fn settle(spec: &mut Tree, old: &Tree) {
    // Sources in other namespaces are alpha (`CrossNamespaceVolumeDataSource`).
    if !spec.text("dataSourceRef.namespace").is_empty() && !old.has("dataSourceRef") {
        spec.remove("dataSourceRef");
    }
    let in_use = old.has("dataSource") || old.has("dataSourceRef");
    if !in_use && !spec.has("dataSourceRef") && !counts(spec.at("dataSource")) {
        spec.remove("dataSource");
    }
    agree(spec);
}

/// Completes one of the two fields from the other.
pub(super) fn agree(spec: &mut Tree) {
    match (spec.has("dataSource"), spec.has("dataSourceRef")) {
        (true, false) => {
            let source = part(spec.at("dataSource"));
            spec.set("dataSourceRef", source);
        }
        (false, true) if spec.text("dataSourceRef.namespace").is_empty() => {
            let source = part(spec.at("dataSourceRef"));
            spec.set("dataSource", source);
        }
        _ => {}
    }
}

fn part(source: &Tree) -> Tree {
    let mut part = json!({"kind": source.text("kind"), "name": source.text("name")});
    if source.has("apiGroup") {
        part.set("apiGroup", source.text("apiGroup"));
    }
    part
}

fn counts(source: &Tree) -> bool {
    matches!(
        (source.text("kind"), source.text("apiGroup")),
        ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_say_the_same() {
        let claim = json!({"kind": "PersistentVolumeClaim", "name": "c"});
        let populator = json!({"kind": "Populator", "name": "p", "apiGroup": "example.com"});
        let elsewhere = json!({"kind": "PersistentVolumeClaim", "name": "c", "namespace": "other"});
        let cases = [
            ("a claim", json!({"dataSource": claim}), json!({"dataSource": claim, "dataSourceRef": claim})),
            ("anything", json!({"dataSource": populator}), json!({})),
            (
                "a reference",
                json!({"dataSourceRef": populator}),
                json!({"dataSource": populator, "dataSourceRef": populator}),
            ),
            ("elsewhere", json!({"dataSourceRef": elsewhere}), json!({})),
        ];
        for (name, mut spec, want) in cases {
            settle(&mut spec, &Tree::Null);
            assert_eq!(spec, want, "{name}");
            let once = spec.clone();
            settle(&mut spec, &once);
            assert_eq!(spec, once, "{name}");
        }
        let mut kept = json!({"dataSource": populator});
        settle(&mut kept, &json!({"dataSource": populator, "dataSourceRef": populator}));
        assert_eq!(kept["dataSourceRef"], populator, "an older client left the newer field out");
        let mut kept = json!({"dataSourceRef": elsewhere});
        settle(&mut kept, &json!({"dataSourceRef": elsewhere}));
        assert_eq!(kept, json!({"dataSourceRef": elsewhere}));
    }
}
