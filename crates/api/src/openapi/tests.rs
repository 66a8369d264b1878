use serde_json::json;

use super::*;

const ALL: [Action; 8] = [
    Action::Get,
    Action::List,
    Action::Watch,
    Action::Create,
    Action::Update,
    Action::Patch,
    Action::Delete,
    Action::DeleteCollection,
];

fn spec(group: &str, kind: &str, plural: &str, namespaced: bool) -> PathSpec {
    let id = catalog().kind(group, "v1", kind).expect(kind);
    let definition = catalog().get(id).name.to_owned();
    PathSpec {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        plural: plural.into(),
        namespaced,
        actions: ALL.to_vec(),
        definition: definition.clone(),
        subresources: vec![SubresourceSpec {
            name: "status".into(),
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            definition,
            actions: vec![Action::Get, Action::Update, Action::Patch],
        }],
    }
}

fn resources() -> Vec<PathSpec> {
    vec![
        spec("", "Pod", "pods", true),
        spec("", "Namespace", "namespaces", false),
        spec("apps", "Deployment", "deployments", true),
    ]
}

/// Every `$ref` in a document.
fn all_references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            out.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|v| all_references(v, out));
        }
        Value::Array(items) => items.iter().for_each(|v| all_references(v, out)),
        _ => {}
    }
}

fn assert_closed(document: &Value) {
    let mut references = Vec::new();
    all_references(document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("local");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn a_v3_document_has_what_kubectl_looks_for() {
    let (resources, custom) = (resources(), BTreeMap::new());
    let source = Source { resources: &resources, custom: &custom };
    let document: Value = serde_json::from_slice(&v3_json(&source, ("apps", "v1")).unwrap()).unwrap();
    assert_closed(&document);
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let names: Vec<_> =
        patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    let everywhere = &document["paths"]["/apis/apps/v1/deployments"]["get"];
    assert_eq!(everywhere["operationId"], "listAppsV1DeploymentForAllNamespaces");

    let schemas = &document["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(
        deployment["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "version": "v1", "kind": "Deployment"}])
    );
    assert_eq!(
        deployment["properties"]["spec"]["allOf"],
        json!([{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec"}])
    );
    let container = &schemas["io.k8s.api.core.v1.Container"];
    assert_eq!(container["required"], json!(["name"]));
    let ports = &container["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
    assert!(ports["description"].as_str().unwrap().starts_with("List of ports to expose"));
    assert!(schemas.get("io.k8s.api.apps.v1.DeploymentList").is_some());
    assert!(schemas.get("io.k8s.api.apps.v1.StatefulSet").is_none());
    let options = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"];
    assert_eq!(options["x-kubernetes-group-version-kind"].as_array().unwrap().len(), 2);
    assert_eq!(v3_json(&source, ("batch", "v1")), None);
}

#[test]
fn the_v2_document_is_closed() {
    let (resources, custom) = (resources(), BTreeMap::new());
    let document: Value =
        serde_json::from_slice(&v2_json(&Source { resources: &resources, custom: &custom })).unwrap();
    assert_closed(&document);
    let create = &document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"];
    assert_eq!(create["parameters"][0]["in"], "body");
    assert_eq!(create["operationId"], "createCoreV1NamespacedPod");
    let int_or_string = &document["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
    assert_eq!(
        (&int_or_string["type"], &int_or_string["format"]),
        (&json!("string"), &json!("int-or-string"))
    );
}

#[test]
fn custom_definitions_are_published_in_both() {
    let mut foo = spec("", "Pod", "foos", true);
    foo.group = "example.com".into();
    foo.kind = "Foo".into();
    foo.definition = "com.example.v1.Foo".into();
    foo.subresources.clear();
    let meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let schema = json!({"type": "object", "properties": {
        "metadata": {"$ref": meta}, "any": {"nullable": true, "type": "string", "description": "d"},
        "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}}});
    let custom = BTreeMap::from([("com.example.v1.Foo".to_owned(), schema.clone())]);
    let resources = [foo];
    let source = Source { resources: &resources, custom: &custom };
    let v3: Value = serde_json::from_slice(&v3_json(&source, ("example.com", "v1")).unwrap()).unwrap();
    assert_closed(&v3);
    assert_eq!(v3["components"]["schemas"]["com.example.v1.Foo"], schema);
    assert!(v3["components"]["schemas"].get(meta.rsplit('/').next().unwrap()).is_some());
    let v2: Value = serde_json::from_slice(&v2_json(&source)).unwrap();
    assert_closed(&v2);
    let properties = &v2["definitions"]["com.example.v1.Foo"]["properties"];
    assert_eq!(properties["any"], json!({"description": "d"}));
    assert_eq!(properties["port"], json!({"x-kubernetes-int-or-string": true}));
    assert_eq!(properties["metadata"]["$ref"], meta.replace("components/schemas", "definitions"));
}

#[test]
fn the_protobuf_document_begins_as_gnostic_expects() {
    let (resources, custom) = (resources(), BTreeMap::new());
    let bytes = v2_protobuf(&Source { resources: &resources, custom: &custom });
    assert!(bytes.starts_with(b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.37.0"));
    let needle = b"\x0a\x1fx-kubernetes-group-version-kind";
    assert!(bytes.windows(needle.len()).any(|w| w == needle));
}

#[test]
fn fingerprints_follow_what_is_served() {
    let (mut resources, custom) = (resources(), BTreeMap::new());
    let of = |resources: &[PathSpec], gv| fingerprint(&Source { resources, custom: &custom }, gv);
    let (core, apps, all) =
        (of(&resources, Some(("", "v1"))), of(&resources, Some(("apps", "v1"))), of(&resources, None));
    assert_eq!(core.len(), 64);
    assert_ne!(core, apps);
    resources[2].plural = "others".into();
    assert_eq!(of(&resources, Some(("", "v1"))), core);
    assert_ne!(of(&resources, Some(("apps", "v1"))), apps);
    assert_ne!(of(&resources, None), all);
}
