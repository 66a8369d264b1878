//! API services: who serves a group and version.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1035_label_problems, path_segment_problems, port_number_problems};
use steersman_apimachinery::quote::quote;
use steersman_apimachinery::{Tree, time};

use crate::checks::{invalid, known_word, required, subdomain};
use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{keep_metadata_for_status, keep_spec};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apiregistration.k8s.io",
    kind: "APIService",
    plural: "apiservices",
    singular: "apiservice",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[table::part("status", "apiregistration.k8s.io", "APIService", Verb::READ_WRITE)],
    definition: "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    storage: "apiregistration.k8s.io/apiservices",
    strategy: &ApiService,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Service", 0, "The reference to the service that hosts this API endpoint.", |object, _| {
        let service = object.at("spec.service");
        if service.is_null() {
            return "Local".into();
        }
        format!("{}/{}", service.text("namespace"), service.text("name")).into()
    }),
    print::text("Available", 0, "Whether this service is available.", |object, _| available(object).into()),
    print::AGE,
];

fn available(object: &Tree) -> String {
    let mut conditions = object.items("status.conditions").iter();
    let Some(condition) = conditions.find(|condition| condition.text("type") == "Available") else {
        return "Unknown".to_owned();
    };
    match (condition.text("status"), condition.text("reason")) {
        (status @ "True", _) | (status, "") => status.to_owned(),
        (status, reason) => format!("{status} ({reason})"),
    }
}

struct ApiService;

impl Strategy for ApiService {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(service) = tree.part_mut("spec").and_then(|spec| spec.part_mut("service")) {
            service.default_value("port", 443);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, context: &Context) {
        let local = json!({"conditions": [{
            "type": "Available", "status": "True", "lastTransitionTime": time::format(context.now),
            "reason": "Local", "message": "Local APIServices are always available",
        }]});
        tree.set("status", if tree.has("spec.service") { json!({}) } else { local });
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource.is_some() {
            keep_spec(new, old);
            keep_metadata_for_status(new, old);
        } else {
            new.copy(old, "status");
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        whole(tree)
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, context: &Context) -> ErrorList {
        if context.subresource.is_some() { status(new) } else { whole(new) }
    }

    /// The rest of the rule depends on the spec; see [`name`].
    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// The name says the group and version.
fn name(found: &mut ErrorList, object: &Tree, spec: &Tree) {
    let wanted = format!("{}.{}", spec.text("version"), spec.text("group"));
    for field in ["generateName", "name"] {
        let name = object.at("metadata").text(field);
        if !name.is_empty() && name != wanted && path_segment_problems(name, false).is_empty() {
            let why = format!("must be `spec.version+\".\"+spec.group`: {}", quote(&wanted));
            found.push(Error::invalid(Path::new("metadata").child(field), name, why));
        }
    }
}

fn whole(object: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (object.at("spec"), Path::new("spec"));
    name(&mut found, object, spec);
    let (group, version) = (spec.text("group"), spec.text("version"));
    if !group.is_empty() {
        subdomain(&mut found, &path.child("group"), group);
    } else if version != "v1" {
        let why = "only v1 may have an empty group and it better be legacy kube";
        found.push(Error::required(path.child("group"), why));
    }
    invalid(&mut found, &path.child("version"), version, dns1035_label_problems(version, false));
    for (field, most) in [("groupPriorityMinimum", 20000), ("versionPriority", 1000)] {
        let value = spec.int(field).unwrap_or(0);
        if !(1..=most).contains(&value) {
            let why = format!("must be positive and less than {most}");
            found.push(Error::invalid(path.child(field), value, why));
        }
    }
    let bundle = STANDARD.decode(spec.text("caBundle")).unwrap_or_default().len();
    let insecure = spec.flag("insecureSkipTLSVerify");
    let at = path.child("insecureSkipTLSVerify");
    if !spec.has("service") {
        if bundle > 0 {
            let (shown, why) = (format!("{bundle} bytes"), "local APIServices may not have a caBundle");
            found.push(Error::invalid(path.child("caBundle"), shown, why));
        }
        if insecure {
            found.push(Error::invalid(at, true, "local APIServices may not have insecureSkipTLSVerify"));
        }
        return found;
    }
    service(&mut found, spec.at("service"), &path.child("service"));
    if insecure && bundle > 0 {
        found.push(Error::invalid(at, true, "may not be true if caBundle is present"));
    }
    found
}

fn service(found: &mut ErrorList, service: &Tree, path: &Path) {
    required(found, path.child("namespace"), service.text("namespace"));
    required(found, path.child("name"), service.text("name"));
    let port = service.int("port").unwrap_or(0);
    let problems = port_number_problems(port);
    if !problems.is_empty() {
        let why = format!("port is not valid: {}", problems.join(", "));
        found.push(Error::invalid(path.child("port"), port, why));
    }
}

fn status(object: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    for (index, condition) in object.items("status.conditions").iter().enumerate() {
        let path = Path::new("status").child("conditions").index(index).child("status");
        known_word(&mut found, path, condition.text("status"), &["True", "False", "Unknown"]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    fn object(changes: &[(&str, Tree)]) -> Tree {
        let mut spec = json!({"group": "a.b", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
            "service": {"namespace": "n", "name": "s"}});
        for (field, value) in changes {
            spec[*field] = value.clone();
        }
        let name = format!("{}.{}", spec.text("version"), spec.text("group"));
        let mut object =
            json!({"metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec});
        ApiService.apply_defaults(&mut object);
        object
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases: [(Vec<(&str, Tree)>, &[&str]); 10] = [
            (vec![], &[]),
            (vec![("group", json!("")), ("service", json!(null))], &[]),
            (
                vec![("group", json!("")), ("version", json!("v2"))],
                &["spec.group: Required value: only v1 may have an empty group and it better be legacy kube"],
            ),
            (
                vec![("groupPriorityMinimum", json!(20001))],
                &["spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000"],
            ),
            (
                vec![("versionPriority", json!(0))],
                &["spec.versionPriority: Invalid value: 0: must be positive and less than 1000"],
            ),
            (
                vec![("service", json!(null)), ("caBundle", json!("AAE="))],
                &["spec.caBundle: Invalid value: \"2 bytes\": local APIServices may not have a caBundle"],
            ),
            (
                vec![("service", json!(null)), ("insecureSkipTLSVerify", json!(true))],
                &[
                    "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
                ],
            ),
            (
                vec![("insecureSkipTLSVerify", json!(true)), ("caBundle", json!("AAE="))],
                &["spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"],
            ),
            (
                vec![("service", json!({}))],
                &["spec.service.namespace: Required value", "spec.service.name: Required value"],
            ),
            (
                vec![("service", json!({"namespace": "n", "name": "s", "port": 70000}))],
                &[
                    "spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive",
                ],
            ),
        ];
        for (changes, want) in cases {
            assert_eq!(texts(&whole(&object(&changes))), want, "{changes:?}");
        }
        let mut misnamed = object(&[]);
        misnamed["metadata"]["name"] = json!("x");
        let want = "metadata.name: Invalid value: \"x\": must be `spec.version+\".\"+spec.group`: \"v1.a.b\"";
        assert_eq!(texts(&whole(&misnamed)), [want]);
        let paths: Vec<String> = whole(&object(&[("group", json!("A")), ("version", json!("V"))]))
            .iter()
            .map(|error| error.path.to_string())
            .collect();
        assert_eq!(paths, ["spec.group", "spec.version"]);
        let report = json!({"status": {"conditions": [{"type": "Available", "status": "Maybe"}]}});
        let want = "status.conditions[0].status: Unsupported value: \"Maybe\": supported values: \"True\", \"False\", \"Unknown\"";
        assert_eq!(texts(&status(&report)), [want]);
    }

    #[test]
    fn local_services_are_available_at_once() {
        let mut local = object(&[("service", json!(null))]);
        ApiService.prepare_for_create(&mut local, &Context::default());
        assert_eq!(row(COLUMNS, &local, "2026-01-01T00:05:00Z"), "v1.a.b|Local|True|5m");
        let mut remote = object(&[]);
        ApiService.prepare_for_create(&mut remote, &Context::default());
        assert_eq!(row(COLUMNS, &remote, "2026-01-01T00:05:00Z"), "v1.a.b|n/s|Unknown|5m");
        remote["status"] =
            json!({"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]});
        assert_eq!(row(COLUMNS, &remote, "2026-01-01T00:05:00Z"), "v1.a.b|n/s|False (MissingEndpoints)|5m");
    }
}
