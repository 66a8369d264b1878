//! Bad input gets upstream's code, reason and message.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use steersman_e2e::api::Api;
use steersman_e2e::suite::{Suite, Test};

use crate::manifests::{deployment, shell};

pub const TESTS: &[Test] = &[
    ("malformed_bodies", malformed_bodies),
    ("unknown_fields_warn_fail_or_pass", unknown_fields_warn_fail_or_pass),
    ("wrong_types_and_values", wrong_types_and_values),
    ("immutable_fields", immutable_fields),
    ("objects_that_are_too_large", objects_that_are_too_large),
    ("conflicts_and_absences", conflicts_and_absences),
    ("bad_patches", bad_patches),
    ("kubectl_shows_the_errors", kubectl_shows_the_errors),
];

const JSON: &str = "application/json";

struct Place {
    api: Api,
    kubectl: steersman_e2e::suite::Namespace,
}

impl Place {
    fn new(suite: &Suite) -> Result<Self> {
        Ok(Self { api: suite.cluster()?.api()?, kubectl: suite.namespace()? })
    }

    fn path(&self, resource: &str) -> String {
        format!("/api/v1/namespaces/{}/{resource}", self.kubectl.namespace())
    }

    /// The answer has this code and reason, and the text is in its message.
    fn answers(&self, request: (&str, &str, &str, &[u8]), code: u16, reason: &str, text: &str) -> Result<()> {
        let (method, path, content_type, body) = request;
        let answer = self.api.send(method, path, content_type, body)?;
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]);
        let (got_code, got_reason, message) = answer.status();
        ensure!(
            got_code == code && got_reason == reason && message.contains(text),
            "{method} {path} {shown}: wanted {code} {reason} {text:?}, got {got_code} {got_reason} {message:?}"
        );
        Ok(())
    }
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn malformed_bodies(suite: &Suite) -> Result<()> {
    let place = Place::new(suite)?;
    let path = place.path("configmaps");
    let cases: [(&str, &[u8], u16, &str, &str); 6] = [
        (JSON, b"{\"kind\":", 400, "BadRequest", "unexpected end of JSON input"),
        (JSON, b"nonsense", 400, "BadRequest", "invalid character"),
        ("application/yaml", b"a: b: c", 400, "BadRequest", "yaml"),
        ("application/vnd.kubernetes.protobuf", b"k8s\0\xff\xff\xff", 400, "BadRequest", ""),
        (
            "text/plain",
            b"{}",
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format",
        ),
        (
            JSON,
            b"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\"}}",
            400,
            "BadRequest",
            "Secret",
        ),
    ];
    for (content_type, body, code, reason, text) in cases {
        place.answers(("POST", &path, content_type, body), code, reason, text)?;
    }
    Ok(())
}

fn unknown_fields_warn_fail_or_pass(suite: &Suite) -> Result<()> {
    let place = Place::new(suite)?;
    let mut object = config_map("unknown");
    object["nothing"] = json!(1);
    object["metadata"]["strange"] = json!(2);
    let body = object.to_string();
    let path = place.path("configmaps");
    let send = |validation: &str| {
        place.api.send(
            "POST",
            &format!("{path}?dryRun=All&fieldValidation={validation}"),
            JSON,
            body.as_bytes(),
        )
    };
    let strict = send("Strict")?;
    let wanted = "strict decoding error: unknown field \"metadata.strange\", unknown field \"nothing\"";
    ensure!(strict.status().0 == 400 && strict.status().2.contains(wanted), "{strict:?}");
    let warned = send("Warn")?;
    let headers = warned.headers.to_lowercase();
    ensure!(
        warned.code == 201 && headers.contains("warning: 299 - \"unknown field \\\"nothing\\\"\""),
        "{warned:?}"
    );
    let ignored = send("Ignore")?;
    ensure!(ignored.code == 201 && !ignored.headers.to_lowercase().contains("warning:"), "{ignored:?}");
    ensure!(ignored.body["nothing"].is_null(), "it is dropped: {ignored:?}");
    let error = place.kubectl.feed(&["create", "-f", "-"], &body)?.failure()?;
    ensure!(error.contains("strict decoding error") || error.contains("unknown field"), "{error}");
    Ok(())
}

fn wrong_types_and_values(suite: &Suite) -> Result<()> {
    let place = Place::new(suite)?;
    let pod = |change: fn(&mut Value)| {
        let mut pod = shell("wrong", "x", "true");
        change(&mut pod);
        pod
    };
    let container = "spec.containers[0]";
    let cases: [(&str, Value, u16, &str, String); 8] = [
        ("configmaps", json!({"metadata": {"name": "x"}, "data": {"a": 1}}), 400, "BadRequest", "cannot unmarshal number into Go struct field ConfigMap.data of type string".into()),
        ("configmaps", config_map("Not Valid"), 422, "Invalid", "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters".into()),
        ("configmaps", json!({"metadata": {}}), 422, "Invalid", "name or generateName is required".into()),
        ("pods", pod(|p| p["spec"]["containers"] = json!([])), 422, "Invalid", "spec.containers: Required value".into()),
        ("pods", pod(|p| p["spec"]["restartPolicy"] = json!("Sometimes")), 422, "Invalid", "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"".into()),
        ("pods", pod(|p| p["spec"]["containers"][0]["name"] = json!("Bad_Name")), 422, "Invalid", format!("{container}.name: Invalid value: \"Bad_Name\"")),
        ("pods", pod(|p| p["spec"]["containers"][0]["ports"] = json!([{"containerPort": 70000}])), 422, "Invalid", format!("{container}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive")),
        ("pods", pod(|p| p["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "much"}})), 400, "BadRequest", "quantities must match the regular expression".into()),
    ];
    for (resource, object, code, reason, text) in cases {
        place.answers(
            ("POST", &place.path(resource), JSON, object.to_string().as_bytes()),
            code,
            reason,
            &text,
        )?;
    }
    let other = json!({"metadata": {"name": "x", "namespace": "elsewhere"}}).to_string();
    let text = "the namespace of the provided object does not match the namespace sent on the request";
    place.answers(("POST", &place.path("configmaps"), JSON, other.as_bytes()), 400, "BadRequest", text)
}

fn immutable_fields(suite: &Suite) -> Result<()> {
    let place = Place::new(suite)?;
    let kubectl = &place.kubectl;
    kubectl.apply(&deployment("fixed", 0, &shell("fixed", "x", "true")).to_string())?;
    kubectl.ok(&["create", "service", "clusterip", "fixed", "--tcp=80"])?;
    kubectl.ok(&["create", "secret", "generic", "fixed", "--from-literal=a=b"])?;
    kubectl.ok(&["patch", "secret", "fixed", "-p", r#"{"immutable":true}"#])?;
    let cases = [
        ("deployment", r#"{"spec":{"selector":{"matchLabels":{"app":"other"}}}}"#, "field is immutable"),
        ("service", r#"{"spec":{"clusterIP":"10.96.200.200"}}"#, "spec.clusterIPs[0]: Invalid value"),
        ("secret", r#"{"data":{"a":"Yw=="}}"#, "data: Forbidden: field is immutable when `immutable` is set"),
        ("secret", r#"{"type":"other"}"#, "type: Invalid value: \"other\": field is immutable"),
        ("secret", r#"{"metadata":{"uid":"other"}}"#, "Precondition failed: UID in precondition"),
    ];
    for (kind, patch, text) in cases {
        let error = kubectl.fails(&["patch", kind, "fixed", "--type=merge", "-p", patch])?;
        ensure!(error.contains(text), "{kind} {patch}: {error}");
    }
    Ok(())
}

fn objects_that_are_too_large(suite: &Suite) -> Result<()> {
    let place = Place::new(suite)?;
    let sized = |mebibytes: usize| {
        let mut object = config_map("large");
        object["data"] = json!({"a": "x".repeat(mebibytes << 20)});
        object.to_string()
    };
    let path = place.path("configmaps");
    let text = "[]: Too long: may not be more than 1048576 bytes";
    place.answers(("POST", &path, JSON, sized(2).as_bytes()), 422, "Invalid", text)?;
    let text = "Request entity too large: limit is 3145728";
    place.answers(("POST", &path, JSON, sized(4).as_bytes()), 413, "RequestEntityTooLarge", text)
}

fn conflicts_and_absences(suite: &Suite) -> Result<()> {
    let place = Place::new(suite)?;
    let path = place.path("configmaps");
    let created = place.api.send("POST", &path, JSON, config_map("c").to_string().as_bytes())?;
    let mut stale = created.body.clone();
    place.kubectl.ok(&["label", "configmap", "c", "a=b"])?;
    stale["data"] = json!({"a": "b"});
    let one = format!("{path}/c");
    let text = "Operation cannot be fulfilled on configmaps \"c\": the object has been modified; please apply your changes to the latest version and try again";
    place.answers(("PUT", &one, JSON, stale.to_string().as_bytes()), 409, "Conflict", text)?;
    let exists = config_map("c").to_string();
    place.answers(
        ("POST", &path, JSON, exists.as_bytes()),
        409,
        "AlreadyExists",
        "configmaps \"c\" already exists",
    )?;
    let precondition = br#"{"preconditions":{"uid":"other"}}"#;
    place.answers(
        ("DELETE", &one, JSON, precondition),
        409,
        "Conflict",
        "the UID in the precondition (other) does not match the UID in record",
    )?;
    let renamed = json!({"metadata": {"name": "d"}}).to_string();
    let text = "the name of the object (d) does not match the name on the URL (c)";
    place.answers(("PUT", &one, JSON, renamed.as_bytes()), 400, "BadRequest", text)?;
    for method in ["GET", "DELETE"] {
        let absent = format!("{path}/absent");
        place.answers((method, &absent, JSON, b""), 404, "NotFound", "configmaps \"absent\" not found")?;
    }
    place.answers(
        ("GET", &place.path("nonsenses"), JSON, b""),
        404,
        "NotFound",
        "the server could not find the requested resource",
    )?;
    let text = "namespaces \"absent\" not found";
    place.answers(
        ("POST", "/api/v1/namespaces/absent/configmaps", JSON, exists.as_bytes()),
        404,
        "NotFound",
        text,
    )?;
    let watch = format!("{path}?watch=1&resourceVersion=nonsense");
    let text = "resourceVersion: Invalid value: \"nonsense\"";
    place.answers(("GET", &watch, JSON, b""), 422, "Invalid", text)?;
    let selector = format!("{path}?fieldSelector=no.such=1");
    place.answers(("GET", &selector, JSON, b""), 400, "BadRequest", "is not a known field selector")
}

fn bad_patches(suite: &Suite) -> Result<()> {
    let place = Place::new(suite)?;
    let path = place.path("configmaps");
    place.api.send("POST", &path, JSON, config_map("p").to_string().as_bytes())?;
    let one = format!("{path}/p");
    let cases: [(&str, &[u8], u16, &str, &str); 7] = [
        (
            "application/json-patch+json",
            b"{}",
            400,
            "BadRequest",
            "cannot unmarshal object into Go value of type jsonpatch.Patch",
        ),
        (
            "application/json-patch+json",
            br#"[{"op":"remove","path":"/data/a"}]"#,
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        ),
        ("application/merge-patch+json", b"[", 400, "BadRequest", ""),
        ("application/merge-patch+json", br#"{"data":[1]}"#, 422, "Invalid", "patch: Invalid value"),
        (
            "application/strategic-merge-patch+json",
            br#"{"metadata":"x"}"#,
            422,
            "Invalid",
            "patch: Invalid value",
        ),
        (
            "application/apply-patch+yaml",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: p}\n",
            422,
            "Invalid",
            "fieldManager: Required value: is required for apply patch",
        ),
        (
            JSON,
            b"{}",
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json",
        ),
    ];
    for (content_type, body, code, reason, text) in cases {
        place.answers(("PATCH", &one, content_type, body), code, reason, text)?;
    }
    Ok(())
}

fn kubectl_shows_the_errors(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let create = |text: &str| kubectl.feed(&["create", "--validate=false", "-f", "-"], text)?.failure();
    let error = create("a: [")?;
    ensure!(error.contains("error converting YAML to JSON"), "{error}");
    let error = create("apiVersion: v1\nkind: Nonsense\nmetadata: {name: a}\n")?;
    ensure!(error.contains("no matches for kind \"Nonsense\" in version \"v1\""), "{error}");
    let error = kubectl.fails(&["get", "nonsense"])?;
    ensure!(error.contains("the server doesn't have a resource type \"nonsense\""), "{error}");
    let error = kubectl.fails(&["delete", "pod", "absent"])?;
    ensure!(error == "Error from server (NotFound): pods \"absent\" not found\n", "{error}");
    kubectl.ok(&["delete", "pod", "absent", "--ignore-not-found"])?;
    let unknown = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatum: {}\n";
    let error = kubectl.feed(&["apply", "--validate=strict", "-f", "-"], unknown)?.failure()?;
    ensure!(error.contains("unknown field \"datum\""), "{error}");
    let warned = kubectl.feed(&["apply", "--validate=warn", "-f", "-"], unknown)?;
    ensure!(
        warned.status.success() && warned.stderr.contains("Warning: unknown field \"datum\""),
        "{warned:?}"
    );
    Ok(())
}
