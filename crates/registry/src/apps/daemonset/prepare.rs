//! What the server sets on daemon sets: beside the generation of the whole, that of the template, which since `apps/v1`
//! is no field any more but an annotation.

use serde_json::json;
use steersman_apimachinery::Tree;

use crate::Context;
use crate::rules::{differs, keep_parts_apart, set_generation};
use crate::tree::{Read, Write};

const ANNOTATION: &str = "deprecated.daemonset.template.generation";

/// A new set: its status is the controller's to say.
pub(super) fn create(set: &mut Tree) {
    let status = json!({
        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
    });
    set.set("status", status);
    set_generation(set, 1);
    let generation = template_generation(set).max(1);
    set_template_generation(set, generation);
}

/// An update: only a change of the template counts for the template.
pub(super) fn update(new: &mut Tree, old: &Tree, context: &Context) {
    keep_parts_apart(new, old, context);
    let changed = differs(new, old, "spec.template");
    set_template_generation(new, template_generation(old) + i64::from(changed));
}

/// The template's generation; 0 if it is not there or no number.
pub(super) fn template_generation(set: &Tree) -> i64 {
    let annotation = set.at("metadata.annotations").get(ANNOTATION).and_then(Tree::as_str);
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_template_generation(set: &mut Tree, generation: i64) {
    if let Some(annotations) =
        set.object_mut("metadata").and_then(|metadata| metadata.object_mut("annotations"))
    {
        annotations.set(ANNOTATION, generation.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(subresource: Option<&'static str>) -> Context {
        Context { subresource, ..Context::default() }
    }

    #[test]
    fn the_template_is_counted_by_itself() {
        let mut stored =
            json!({"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}, "status": {"numberReady": 9}});
        create(&mut stored);
        assert_eq!(stored["metadata"]["annotations"][ANNOTATION], "1");
        assert_eq!(stored["status"]["numberReady"], 0);
        // what is changed, subresource, generation, the template's generation
        let cases = [
            ("/spec/template/spec/dnsPolicy", json!("None"), None, 2, "2"),
            ("/spec/minReadySeconds", json!(5), None, 2, "1"),
            ("/metadata/annotations", json!({}), None, 1, "1"),
            ("/spec/template/spec/dnsPolicy", json!("None"), Some("status"), 1, "1"),
        ];
        for (pointer, value, subresource, generation, of_template) in cases {
            let mut new = stored.clone();
            new["spec"]["minReadySeconds"] = json!(0);
            *new.pointer_mut(pointer).expect("a field") = value;
            update(&mut new, &stored, &context(subresource));
            assert_eq!(new["metadata"]["generation"], generation, "{pointer}");
            assert_eq!(new["metadata"]["annotations"][ANNOTATION], of_template, "{pointer}");
        }
    }
}
