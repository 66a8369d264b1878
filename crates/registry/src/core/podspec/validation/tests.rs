//! Each case changes one field of a valid pod spec and names the problems that upstream reports then.

use serde_json::{Value, json};

use super::*;
use crate::checks::tests::texts;
use crate::core::podspec::defaults;

fn valid() -> Value {
    json!({
        "containers": [{
            "name": "a", "image": "nginx", "ports": [{"name": "web", "containerPort": 80, "hostPort": 80}],
            "env": [{"name": "A", "value": "1"}], "envFrom": [{"configMapRef": {"name": "c"}}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "livenessProbe": {"httpGet": {"port": "web"}},
            "readinessProbe": {"tcpSocket": {"port": 80}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
            "securityContext": {},
        }],
        "initContainers": [{"name": "i", "image": "busybox"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "tolerations": [{"key": "k", "operator": "Exists"}],
    })
}

/// The problems after `value` is put at `pointer` (and its parents made).
fn problems(pointer: &str, value: Value) -> Vec<String> {
    let mut spec = valid();
    let mut here = &mut spec;
    for part in pointer.split('/').skip(1) {
        here = match part.parse::<usize>() {
            Ok(index) => {
                if here.is_null() {
                    *here = json!([]);
                }
                let items = here.as_array_mut().expect("a list");
                while items.len() <= index {
                    items.push(Value::Null);
                }
                &mut items[index]
            }
            Err(_) => &mut here[part],
        };
    }
    *here = value;
    defaults::pod_spec(&mut spec);
    let mut found = ErrorList::new();
    pod_spec(&mut found, &spec, &Path::new("spec"), Owner::Pod);
    texts(&found)
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

fn check(cases: Vec<(&str, Value, Vec<String>)>) {
    for (pointer, value, want) in cases {
        assert_eq!(problems(pointer, value.clone()), want, "{pointer} = {value}");
    }
}

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

#[test]
fn a_valid_spec_has_no_problem() {
    assert_eq!(problems("/hostname", json!("web")), Vec::<String>::new());
}

#[test]
fn containers() {
    check(vec![
        ("/containers", json!([]), one("spec.containers: Required value")),
        ("/containers/0/name", json!(""), one("spec.containers[0].name: Required value")),
        (
            "/containers/0/name",
            json!("A"),
            vec![format!("spec.containers[0].name: Invalid value: \"A\": {LABEL}")],
        ),
        (
            "/containers/1",
            json!({"name": "a", "image": "x"}),
            one("spec.containers[1].name: Duplicate value: \"a\""),
        ),
        ("/containers/0/image", json!(""), one("spec.containers[0].image: Required value")),
        (
            "/containers/0/imagePullPolicy",
            json!("Sometimes"),
            one(
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ),
        ),
        (
            "/containers/0/terminationMessagePolicy",
            json!("x"),
            one(
                "spec.containers[0].terminationMessagePolicy: Unsupported value: \"x\": supported values: \"File\", \"FallbackToLogsOnError\"",
            ),
        ),
        ("/initContainers/0/name", json!("a"), one("spec.initContainers[0].name: Duplicate value: \"a\"")),
        (
            "/initContainers/0/livenessProbe",
            json!({"exec": {"command": ["x"]}}),
            one(
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ),
        ),
        (
            "/initContainers/0",
            json!({"name": "s", "image": "x", "restartPolicy": "Always", "readinessProbe": {"exec": {"command": ["x"]}}}),
            vec![],
        ),
        (
            "/ephemeralContainers/0",
            json!({"name": "d", "image": "x", "ports": [{"containerPort": 1}], "targetContainerName": "z"}),
            vec![
                "spec.ephemeralContainers[0].targetContainerName: Not found: \"z\"".to_owned(),
                "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"
                    .to_owned(),
            ],
        ),
    ]);
}

#[test]
fn ports() {
    check(vec![
        (
            "/containers/0/ports/0/containerPort",
            json!(0),
            one("spec.containers[0].ports[0].containerPort: Required value"),
        ),
        (
            "/containers/0/ports/0/containerPort",
            json!(70000),
            one(
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ),
        ),
        (
            "/containers/0/ports/0/protocol",
            json!("ICMP"),
            one(
                "spec.containers[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
        ),
        (
            "/containers/0/ports/1",
            json!({"name": "web", "containerPort": 81}),
            one("spec.containers[0].ports[1].name: Duplicate value: \"web\""),
        ),
        (
            "/containers/1",
            json!({"name": "b", "image": "x", "ports": [{"containerPort": 1, "hostPort": 80}]}),
            one("spec.containers[1].ports[0].hostPort: Duplicate value: \"TCP//80\""),
        ),
        ("/hostNetwork", json!(true), vec![]),
    ]);
}

#[test]
fn environment() {
    check(vec![
        ("/containers/0/env/0/name", json!(""), one("spec.containers[0].env[0].name: Required value")),
        (
            "/containers/0/env/0",
            json!({"name": "A", "valueFrom": {}}),
            one(
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            ),
        ),
        (
            "/containers/0/env/0/valueFrom",
            json!({"secretKeyRef": {"name": "s", "key": "k"}}),
            one(
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ),
        ),
        (
            "/containers/0/env/0",
            json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}, "fieldRef": {"fieldPath": "metadata.name"}}}),
            one(
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
            ),
        ),
        (
            "/containers/0/env/0",
            json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nothing"}}}),
            one(
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nothing\": error converting fieldPath: field label not supported: spec.nothing",
            ),
        ),
        (
            "/containers/0/env/0",
            json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}),
            one(
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ),
        ),
        (
            "/containers/0/env/0",
            json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}),
            vec![],
        ),
        (
            "/containers/0/env/0",
            json!({"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}),
            one(
                "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
            ),
        ),
        (
            "/containers/0/envFrom/0/configMapRef/name",
            json!(""),
            one("spec.containers[0].envFrom[0].configMapRef.name: Required value"),
        ),
        (
            "/containers/0/envFrom/0",
            json!({}),
            one(
                "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            ),
        ),
    ]);
}

#[test]
fn mounts_and_volumes() {
    check(vec![
        ("/containers/0/volumeMounts/0/name", json!("w"), one("spec.containers[0].volumeMounts[0].name: Not found: \"w\"")),
        ("/containers/0/volumeMounts/0/mountPath", json!(""), one("spec.containers[0].volumeMounts[0].mountPath: Required value")),
        (
            "/containers/0/volumeMounts/1",
            json!({"name": "v", "mountPath": "/v"}),
            one("spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique"),
        ),
        (
            "/containers/0/volumeMounts/0/subPath",
            json!("/abs/.."),
            vec![
                "spec.containers[0].volumeMounts.subPath: Invalid value: \"/abs/..\": must be a relative path".to_owned(),
                "spec.containers[0].volumeMounts.subPath: Invalid value: \"/abs/..\": must not contain '..'".to_owned(),
            ],
        ),
        (
            "/containers/0/volumeMounts/0/mountPropagation",
            json!("Bidirectional"),
            one("spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers"),
        ),
        ("/volumes/0/secret", json!({"secretName": "s"}), one("spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type")),
        ("/volumes/1", json!({"name": "v", "emptyDir": {}}), one("spec.volumes[1].name: Duplicate value: \"v\"")),
        ("/volumes/0", json!({"name": "v", "configMap": {}}), one("spec.volumes[0].configMap.name: Required value")),
        (
            "/volumes/0",
            json!({"name": "v", "configMap": {"name": "c", "defaultMode": 512, "items": [{"key": "", "path": "../x"}]}}),
            vec![
                "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive".to_owned(),
                "spec.volumes[0].configMap.items[0].key: Required value".to_owned(),
                "spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'".to_owned(),
            ],
        ),
        (
            "/volumes/0",
            json!({"name": "v", "hostPath": {"path": "/a/../b", "type": "Dir"}}),
            vec![
                "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'".to_owned(),
                "spec.volumes[0].hostPath.type: Unsupported value: \"Dir\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"".to_owned(),
            ],
        ),
        (
            "/volumes/0",
            json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}, {}]}}),
            vec![
                "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes".to_owned(),
                "spec.volumes[0].projected.sources[1]: Required value: must specify a volume type".to_owned(),
            ],
        ),
        (
            "/volumes/0",
            json!({"name": "v", "downwardAPI": {"items": [{"path": "a"}]}}),
            one("spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"),
        ),
    ]);
}

#[test]
fn probes_and_hooks() {
    check(vec![
        (
            "/containers/0/livenessProbe",
            json!({}),
            one("spec.containers[0].livenessProbe: Required value: must specify a handler type"),
        ),
        (
            "/containers/0/livenessProbe/exec",
            json!({"command": ["x"]}),
            one(
                "spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
            ),
        ),
        (
            "/containers/0/livenessProbe/successThreshold",
            json!(2),
            one("spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"),
        ),
        (
            "/containers/0/readinessProbe/periodSeconds",
            json!(-1),
            one(
                "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            ),
        ),
        (
            "/containers/0/readinessProbe/terminationGracePeriodSeconds",
            json!(3),
            one(
                "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 3: must not be set for readinessProbes",
            ),
        ),
        (
            "/containers/0/readinessProbe/tcpSocket/port",
            json!(0),
            one(
                "spec.containers[0].readinessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
        ),
        (
            "/containers/0/lifecycle/preStop/sleep/seconds",
            json!(40),
            one(
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 40: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ),
        ),
    ]);
}

#[test]
fn resource_amounts() {
    check(vec![
        (
            "/containers/0/resources/requests/cpu",
            json!("2"),
            one("spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"),
        ),
        (
            "/containers/0/resources/limits",
            json!({"cpu": "1", "memory": "-1"}),
            one("spec.containers[0].resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0"),
        ),
        (
            "/containers/0/resources/limits",
            json!({"cpu": "1", "disk": "1"}),
            vec![
                "spec.containers[0].resources.limits[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified".to_owned(),
                "spec.containers[0].resources.limits[disk]: Invalid value: \"disk\": must be a standard resource for containers".to_owned(),
            ],
        ),
        (
            "/containers/0/resources/requests",
            json!({"example.com/gpu": "1"}),
            one("spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"),
        ),
        (
            "/containers/0/resources",
            json!({"limits": {"example.com/gpu": "1500m"}}),
            one("spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"1500m\": must be an integer"),
        ),
        (
            "/containers/0/resources",
            json!({"limits": {"example.com/gpu": "2"}, "requests": {"example.com/gpu": "1"}}),
            one("spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2"),
        ),
    ]);
}

#[test]
fn resources_of_the_whole_pod() {
    check(vec![
        ("/resources", json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}), vec![]),
        (
            "/resources",
            json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}),
            vec![
                "spec.resources.requests[cpu]: Invalid value: \"500m\": must be greater than or equal to aggregate container requests of 1".to_owned(),
                "spec.resources.containers[0][cpu].limits: Invalid value: \"1\": must be less than or equal to pod limits of 500m".to_owned(),
            ],
        ),
    ]);
}

#[test]
fn the_pod_itself() {
    check(vec![
        (
            "/restartPolicy",
            json!("Maybe"),
            one("spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\""),
        ),
        ("/hostname", json!("A"), vec![format!("spec.hostname: Invalid value: \"A\": {LABEL}")]),
        (
            "/activeDeadlineSeconds",
            json!(0),
            one("spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"),
        ),
        ("/dnsPolicy", json!("None"), one("spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None")),
        (
            "/dnsConfig",
            json!({"nameservers": ["x"], "options": [{}]}),
            vec![
                "spec.dnsConfig.nameservers[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned(),
                "spec.dnsConfig.options[0]: Required value: must not be empty".to_owned(),
            ],
        ),
        (
            "/hostAliases",
            json!([{"ip": "1.2.3"}]),
            one("spec.hostAliases[0].ip: Invalid value: \"1.2.3\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ),
        (
            "/securityContext/runAsUser",
            json!(-1),
            one("spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
        ),
        (
            "/securityContext/seccompProfile",
            json!({"type": "Localhost"}),
            one("spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"),
        ),
        (
            "/containers/0/securityContext",
            json!({"privileged": true, "allowPrivilegeEscalation": false}),
            one("spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true"),
        ),
    ]);
}

#[test]
fn placement() {
    check(vec![
        (
            "/tolerations/0",
            json!({"operator": "Equal", "value": "x"}),
            one("spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\""),
        ),
        (
            "/tolerations/0/tolerationSeconds",
            json!(3),
            one("spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"),
        ),
        (
            "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution",
            json!({}),
            one("spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term"),
        ),
        (
            "/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution",
            json!([{"weight": 101, "preference": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]),
            vec![
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100".to_owned(),
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'".to_owned(),
            ],
        ),
        (
            "/topologySpreadConstraints",
            json!([{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "DoNotSchedule"}]),
            vec![
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero".to_owned(),
                "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty".to_owned(),
            ],
        ),
        (
            "/schedulingGates",
            json!([{"name": "a"}, {"name": "a"}]),
            one("spec.schedulingGates[1]: Duplicate value: \"a\""),
        ),
    ]);
}
