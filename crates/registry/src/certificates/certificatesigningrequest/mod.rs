//! Certificate signing requests: who asks is recorded at creation; approval and issue come by subresources.

mod validation;

use serde_json::json;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::names::path_segment_problems;
use steersman_apimachinery::time::human_duration;
use steersman_apimachinery::{Tree, time};

use crate::print::{self, or};
use crate::resource::{Resource, Scope, Verb};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "certificates.k8s.io",
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    scope: Scope::Cluster,
    subresources: &[
        table::part("approval", "certificates.k8s.io", "CertificateSigningRequest", Verb::READ_WRITE),
        table::part("status", "certificates.k8s.io", "CertificateSigningRequest", Verb::READ_WRITE),
    ],
    definition: "io.k8s.api.certificates.v1.CertificateSigningRequest",
    storage: "certificatesigningrequests",
    strategy: &SigningRequest,
    columns: COLUMNS,
    selectable_fields: &[("spec.signerName", |request| request.text("spec.signerName").to_owned())],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::AGE,
    print::text("SignerName", 0, "Signer that is asked.", |request, _| {
        or(request.text("spec.signerName"), "<none>").into()
    }),
    print::text("Requestor", 0, "User who asks.", |request, _| request.text("spec.username").into()),
    print::text(
        "RequestedDuration",
        0,
        "How long the certificate shall be valid.",
        |request, _| match request.int("spec.expirationSeconds") {
            Some(seconds) => human_duration(seconds).into(),
            None => "<none>".into(),
        },
    ),
    print::text("Condition", 0, "What has become of the request.", |request, _| condition(request).into()),
];

fn condition(request: &Tree) -> String {
    let has = |kind: &str| request.items("status.conditions").iter().any(|c| c.text("type") == kind);
    let decision = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if request.text("status.certificate").is_empty() { "" } else { ",Issued" };
    format!("{decision}{failed}{issued}")
}

struct SigningRequest;

impl Strategy for SigningRequest {
    fn prepare_for_create(&self, tree: &mut Tree, context: &Context) {
        if let Some(spec) = tree.object_mut("spec") {
            record_user(spec, context);
        }
        tree.set("status", json!({}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        new.copy(old, "spec");
        match context.subresource {
            Some("approval") => {
                set_times(new, old, context);
                let conditions = new.at("status.conditions").clone();
                new.copy(old, "status");
                if let Some(status) = new.object_mut("status") {
                    status.set("conditions", conditions);
                }
            }
            Some(_) => {
                keep_conditions(new, old, "Approved");
                keep_conditions(new, old, "Denied");
                set_times(new, old, context);
            }
            None => new.copy(old, "status"),
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        validation::update(new, old, context.subresource)
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }
}

/// Writes who asks, whatever the client has written there.
fn record_user(spec: &mut Tree, context: &Context) {
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    if !context.user.is_empty() {
        spec.set("username", context.user.as_str());
    }
    if !context.uid.is_empty() {
        spec.set("uid", context.uid.as_str());
    }
    if !context.groups.is_empty() {
        spec.set("groups", context.groups.clone());
    }
    if !context.extra.is_empty() {
        spec.set("extra", json!(context.extra));
    }
}

/// Makes the conditions of a kind what they were, if there are as many as before.
fn keep_conditions(new: &mut Tree, old: &Tree, kind: &str) {
    let is_kind = |condition: &&Tree| condition.text("type") == kind;
    let before: Vec<Tree> = old.items("status.conditions").iter().filter(is_kind).cloned().collect();
    if new.items("status.conditions").iter().filter(is_kind).count() != before.len() {
        return;
    }
    let now = new.part_mut("status").map(|status| status.items_mut("conditions")).into_iter().flatten();
    for (condition, before) in now.filter(|condition| condition.text("type") == kind).zip(before) {
        *condition = before;
    }
}

/// Dates each condition that has no date; one that held before keeps its old date of transition.
fn set_times(new: &mut Tree, old: &Tree, context: &Context) {
    let now = time::format(context.now);
    let conditions = new.part_mut("status").map(|status| status.items_mut("conditions"));
    for condition in conditions.into_iter().flatten().filter(|condition| condition.is_object()) {
        condition.default_text("lastUpdateTime", &now);
        let same = |before: &&Tree| {
            ["type", "status"].iter().all(|field| before.text(field) == condition.text(field))
                && !before.text("lastTransitionTime").is_empty()
        };
        let before = old.items("status.conditions").iter().find(same);
        let since = before.map_or(now.clone(), |before| before.text("lastTransitionTime").to_owned());
        condition.default_text("lastTransitionTime", &since);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::print::tests::row;

    fn context(subresource: Option<&'static str>) -> Context {
        Context { subresource, ..Context::default() }
    }

    #[test]
    fn who_asks_is_recorded() {
        let mut request =
            json!({"spec": {"username": "root", "uid": "0", "signerName": "a.b/c"}, "status": {"x": 1}});
        let asker = Context {
            user: "jane".to_owned(),
            groups: vec!["dev".to_owned()],
            extra: BTreeMap::from([("k".to_owned(), vec!["v".to_owned()])]),
            ..Context::default()
        };
        SigningRequest.prepare_for_create(&mut request, &asker);
        let want = json!({"spec": {"signerName": "a.b/c", "username": "jane", "groups": ["dev"], "extra": {"k": ["v"]}},
            "status": {}});
        assert_eq!(request, want);
    }

    #[test]
    fn each_subresource_changes_its_part() {
        let at = "1970-01-01T00:00:00Z";
        let approved =
            json!({"type": "Approved", "status": "True", "lastUpdateTime": "x", "lastTransitionTime": "x"});
        let old = json!({"spec": {"a": 1}, "status": {"conditions": [approved], "certificate": "AA=="}});
        let new = json!({"spec": {"a": 2}, "status": {"certificate": "AQ==",
            "conditions": [{"type": "Approved", "status": "True"}, {"type": "Failed", "status": "True"}]}});
        let after = |subresource| {
            let mut new = new.clone();
            SigningRequest.prepare_for_update(&mut new, &old, &context(subresource));
            new
        };
        assert_eq!(after(None), old);
        let failed =
            json!({"type": "Failed", "status": "True", "lastUpdateTime": at, "lastTransitionTime": at});
        let want =
            json!({"spec": {"a": 1}, "status": {"certificate": "AQ==", "conditions": [approved, failed]}});
        assert_eq!(after(Some("status")), want);
        let renewed =
            json!({"type": "Approved", "status": "True", "lastUpdateTime": at, "lastTransitionTime": "x"});
        let want =
            json!({"spec": {"a": 1}, "status": {"certificate": "AA==", "conditions": [renewed, failed]}});
        assert_eq!(after(Some("approval")), want);
    }

    #[test]
    fn requests_print_as_upstream() {
        let mut request = json!({
            "metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"signerName": "a.b/c", "username": "jane", "expirationSeconds": 86400},
        });
        let mut show = |status: Tree| {
            request["status"] = status;
            row(COLUMNS, &request, "2026-01-01T00:05:00Z")
        };
        assert_eq!(show(json!({})), "r|5m|a.b/c|jane|24h|Pending");
        let all = json!([{"type": "Approved"}, {"type": "Failed"}]);
        let status = json!({"conditions": all, "certificate": "AA=="});
        assert_eq!(show(status), "r|5m|a.b/c|jane|24h|Approved,Failed,Issued");
        assert_eq!(show(json!({"conditions": [{"type": "Denied"}]})), "r|5m|a.b/c|jane|24h|Denied");
        assert_eq!(row(&COLUMNS[2..5], &json!({}), "2026-01-01T00:05:00Z"), "<none>||<none>");
    }
}
