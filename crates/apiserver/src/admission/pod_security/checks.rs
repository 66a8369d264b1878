//! The Pod Security Standards: one function a rule, each giving upstream's sentence if a pod breaks it. Pure.

use std::collections::BTreeSet;

use steersman_apimachinery::Tree;

use super::Level;
use crate::view::{items, strings, text};

type Check = fn(&Tree) -> Option<String>;

/// In the order of upstream's names for them, baseline first. A baseline rule that restricted replaces is marked.
const BASELINE: [(Check, bool); 12] = [
    (app_armor, false),
    (baseline_capabilities, true),
    (host_namespaces, false),
    (host_path_volumes, true),
    (host_ports, false),
    (probe_hosts, false),
    (privileged, false),
    (baseline_proc_mount, true),
    (se_linux, false),
    (baseline_seccomp, true),
    (sysctls, false),
    (windows_host_process, false),
];
const RESTRICTED: [Check; 7] = [
    privilege_escalation,
    restricted_capabilities,
    proc_mount,
    restricted_volumes,
    run_as_non_root,
    run_as_user,
    restricted_seccomp,
];

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];
const SE_LINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const CONFINED: [&str; 2] = ["RuntimeDefault", "Localhost"];

/// What `pod` does that `level` does not allow, each with its reason and in brackets who does it.
pub(super) fn violations(pod: &Tree, level: Level) -> Vec<String> {
    let baseline = BASELINE.iter().filter(|(_, replaced)| level < Level::Restricted || !replaced);
    let baseline = baseline.map(|(check, _)| check).filter(|_| level >= Level::Baseline);
    let restricted = RESTRICTED.iter().filter(|_| level >= Level::Restricted);
    baseline.chain(restricted).filter_map(|check| check(pod)).collect()
}

/// All containers: init, ordinary, ephemeral.
fn containers(pod: &Tree) -> impl Iterator<Item = &Tree> {
    ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"]
        .into_iter()
        .flat_map(|list| items(pod, list))
}

/// Names of the containers for which `bad` holds.
fn bad(pod: &Tree, bad: impl Fn(&Tree) -> bool) -> Vec<String> {
    containers(pod).filter(|c| bad(c)).map(|c| text(c, "/name").to_owned()).collect()
}

fn flag(tree: &Tree, pointer: &str) -> Option<bool> {
    tree.pointer(pointer).and_then(Tree::as_bool)
}

fn is_windows(pod: &Tree) -> bool {
    text(pod, "/spec/os/name") == "windows"
}

/// In a user namespace of its own, root is nobody outside.
fn has_own_users(pod: &Tree) -> bool {
    flag(pod, "/spec/hostUsers") == Some(false)
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

fn quoted<'a>(values: impl IntoIterator<Item = &'a String>) -> String {
    values.into_iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`.
fn named(names: &[String]) -> String {
    format!("{} {}", plural("container", names.len()), quoted(names))
}

/// `pod and container "a"`; `None` if nobody.
fn setters(pod: bool, names: &[String]) -> Option<String> {
    match (pod, names.is_empty()) {
        (false, true) => None,
        (true, true) => Some("pod".to_owned()),
        (false, false) => Some(named(names)),
        (true, false) => Some(format!("pod and {}", named(names))),
    }
}

fn app_armor(pod: &Tree) -> Option<String> {
    const TYPE: &str = "/securityContext/appArmorProfile/type";
    let wrong = |kind: &str| !kind.is_empty() && !CONFINED.contains(&kind);
    let pod_type = text(&pod["spec"], TYPE);
    let names = bad(pod, |c| wrong(text(c, TYPE)));
    let who = setters(wrong(pod_type), &names)?;
    let types = containers(pod).map(|c| text(c, TYPE)).chain([pod_type]).filter(|kind| wrong(kind));
    let types: BTreeSet<String> = types.map(str::to_owned).collect();
    let reason = plural("forbidden AppArmor profile", types.len());
    Some(format!("{reason} ({who} must not set AppArmor profile type to {})", quoted(&types)))
}

fn added(container: &Tree) -> Vec<String> {
    strings(container, "/securityContext/capabilities/add")
}

fn forbidden_added(pod: &Tree, allowed: &[&str]) -> Option<String> {
    let wrong = |capability: &String| !allowed.contains(&capability.as_str());
    let names = bad(pod, |c| added(c).iter().any(wrong));
    let all: BTreeSet<String> = containers(pod).flat_map(added).filter(wrong).collect();
    (!names.is_empty()).then(|| {
        format!("{} must not include {} in securityContext.capabilities.add", named(&names), quoted(&all))
    })
}

fn baseline_capabilities(pod: &Tree) -> Option<String> {
    forbidden_added(pod, &CAPABILITIES).map(|detail| format!("non-default capabilities ({detail})"))
}

fn restricted_capabilities(pod: &Tree) -> Option<String> {
    if is_windows(pod) {
        return None;
    }
    let dropped = |c: &Tree| strings(c, "/securityContext/capabilities/drop").iter().any(|d| d == "ALL");
    let names = bad(pod, |c| !dropped(c));
    let kept = (!names.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&names)));
    let details: Vec<String> =
        [kept, forbidden_added(pod, &["NET_BIND_SERVICE"])].into_iter().flatten().collect();
    (!details.is_empty()).then(|| format!("unrestricted capabilities ({})", details.join("; ")))
}

fn host_namespaces(pod: &Tree) -> Option<String> {
    let set = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| flag(pod, &format!("/spec/{field}")) == Some(true))
        .map(|field| format!("{field}=true"));
    let set: Vec<String> = set.collect();
    (!set.is_empty()).then(|| format!("host namespaces ({})", set.join(", ")))
}

fn host_path_volumes(pod: &Tree) -> Option<String> {
    let volumes = items(pod, "/spec/volumes").iter().filter(|volume| !volume["hostPath"].is_null());
    let names: Vec<String> = volumes.map(|volume| text(volume, "/name").to_owned()).collect();
    (!names.is_empty())
        .then(|| format!("hostPath volumes ({} {})", plural("volume", names.len()), quoted(&names)))
}

fn host_ports(pod: &Tree) -> Option<String> {
    let ports = |c: &Tree| -> Vec<i64> {
        items(c, "/ports").iter().filter_map(|p| p["hostPort"].as_i64()).filter(|p| *p != 0).collect()
    };
    let names = bad(pod, |c| !ports(c).is_empty());
    let all: BTreeSet<String> = containers(pod).flat_map(ports).map(|port| port.to_string()).collect();
    let list = all.iter().cloned().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| {
        format!("hostPort ({} {} {} {list})", named(&names), uses(names.len()), plural("hostPort", all.len()))
    })
}

fn probe_hosts(pod: &Tree) -> Option<String> {
    const HANDLERS: [&str; 5] =
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    let hosts = |c: &Tree| -> Vec<String> {
        let places =
            HANDLERS.iter().flat_map(|h| [format!("{h}/httpGet/host"), format!("{h}/tcpSocket/host")]);
        places.map(|place| text(c, &place).to_owned()).filter(|host| !host.is_empty()).collect()
    };
    let mut names = bad(pod, |c| !hosts(c).is_empty());
    names.sort_unstable();
    let all: BTreeSet<String> = containers(pod).flat_map(hosts).collect();
    (!names.is_empty()).then(|| {
        let what = plural("probe or lifecycle host", all.len());
        format!("probe or lifecycle host ({} {} {what} {})", named(&names), uses(names.len()), quoted(&all))
    })
}

fn privileged(pod: &Tree) -> Option<String> {
    let names = bad(pod, |c| flag(c, "/securityContext/privileged") == Some(true));
    (!names.is_empty())
        .then(|| format!("privileged ({} must not set securityContext.privileged=true)", named(&names)))
}

fn baseline_proc_mount(pod: &Tree) -> Option<String> {
    if has_own_users(pod) { None } else { proc_mount(pod) }
}

fn proc_mount(pod: &Tree) -> Option<String> {
    let kind = |c: &Tree| text(c, "/securityContext/procMount").to_owned();
    let wrong = |kind: &String| !matches!(kind.as_str(), "" | "Default");
    let names = bad(pod, |c| wrong(&kind(c)));
    let all: BTreeSet<String> = containers(pod).map(kind).filter(wrong).collect();
    (!names.is_empty()).then(|| {
        format!("procMount ({} must not set securityContext.procMount to {})", named(&names), quoted(&all))
    })
}

fn se_linux(pod: &Tree) -> Option<String> {
    let options = |owner: &Tree, field: &str| {
        text(owner, &format!("/securityContext/seLinuxOptions/{field}")).to_owned()
    };
    let wrong = |owner: &Tree| {
        !SE_LINUX_TYPES.contains(&options(owner, "type").as_str())
            || !options(owner, "user").is_empty()
            || !options(owner, "role").is_empty()
    };
    let who = setters(wrong(&pod["spec"]), &bad(pod, wrong))?;
    let owners = || containers(pod).chain([&pod["spec"]]);
    let types: BTreeSet<String> = owners()
        .map(|owner| options(owner, "type"))
        .filter(|kind| !SE_LINUX_TYPES.contains(&kind.as_str()))
        .collect();
    let mut details = Vec::new();
    if !types.is_empty() {
        details.push(format!("{} {}", plural("type", types.len()), quoted(&types)));
    }
    for field in ["user", "role"] {
        if owners().any(|owner| !options(owner, field).is_empty()) {
            details.push(format!("{field} may not be set"));
        }
    }
    Some(format!(
        "seLinuxOptions ({who} set forbidden securityContext.seLinuxOptions: {})",
        details.join("; ")
    ))
}

const SECCOMP: &str = "/securityContext/seccompProfile/type";

fn baseline_seccomp(pod: &Tree) -> Option<String> {
    let wrong = |kind: &str| !kind.is_empty() && !CONFINED.contains(&kind);
    let pod_type = text(&pod["spec"], SECCOMP);
    let who = setters(wrong(pod_type), &bad(pod, |c| wrong(text(c, SECCOMP))))?;
    let types = containers(pod).map(|c| text(c, SECCOMP)).chain([pod_type]).filter(|kind| wrong(kind));
    let types: BTreeSet<String> = types.map(str::to_owned).collect();
    Some(format!(
        "seccompProfile ({who} must not set securityContext.seccompProfile.type to {})",
        quoted(&types)
    ))
}

fn restricted_seccomp(pod: &Tree) -> Option<String> {
    if is_windows(pod) {
        return None;
    }
    let wrong = baseline_seccomp(pod);
    if wrong.is_some() || !text(&pod["spec"], SECCOMP).is_empty() {
        return wrong;
    }
    let names = bad(pod, |c| text(c, SECCOMP).is_empty());
    (!names.is_empty()).then(|| {
        format!(
            "seccompProfile (pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
            named(&names)
        )
    })
}

fn sysctls(pod: &Tree) -> Option<String> {
    let set = items(pod, "/spec/securityContext/sysctls").iter().map(|sysctl| text(sysctl, "/name"));
    let wrong: Vec<&str> = set.filter(|name| !SYSCTLS.contains(name)).collect();
    (!wrong.is_empty()).then(|| format!("forbidden sysctls ({})", wrong.join(", ")))
}

fn windows_host_process(pod: &Tree) -> Option<String> {
    let set = |owner: &Tree| flag(owner, "/securityContext/windowsOptions/hostProcess") == Some(true);
    let who = setters(set(&pod["spec"]), &bad(pod, set))?;
    Some(format!("hostProcess ({who} must not set securityContext.windowsOptions.hostProcess=true)"))
}

fn privilege_escalation(pod: &Tree) -> Option<String> {
    let names = bad(pod, |c| flag(c, "/securityContext/allowPrivilegeEscalation") != Some(false));
    (!is_windows(pod) && !names.is_empty()).then(|| {
        format!(
            "allowPrivilegeEscalation != false ({} must set securityContext.allowPrivilegeEscalation=false)",
            named(&names)
        )
    })
}

fn restricted_volumes(pod: &Tree) -> Option<String> {
    let source = |volume: &Tree| -> Option<String> {
        let fields = volume.as_object()?;
        fields.iter().find(|(key, value)| *key != "name" && !value.is_null()).map(|(key, _)| key.clone())
    };
    let allowed = |volume: &&Tree| source(volume).is_some_and(|kind| VOLUMES.contains(&kind.as_str()));
    let wrong: Vec<&Tree> = items(pod, "/spec/volumes").iter().filter(|volume| !allowed(volume)).collect();
    let names: Vec<String> = wrong.iter().map(|volume| text(volume, "/name").to_owned()).collect();
    let kinds: BTreeSet<String> =
        wrong.iter().map(|volume| source(volume).unwrap_or_else(|| "unknown".to_owned())).collect();
    (!names.is_empty()).then(|| {
        format!(
            "restricted volume types ({} {} {} {} {})",
            plural("volume", names.len()),
            quoted(&names),
            uses(names.len()),
            plural("restricted volume type", kinds.len()),
            quoted(&kinds)
        )
    })
}

fn run_as_non_root(pod: &Tree) -> Option<String> {
    const FIELD: &str = "/securityContext/runAsNonRoot";
    if has_own_users(pod) {
        return None;
    }
    let of_pod = flag(&pod["spec"], FIELD);
    if let Some(who) = setters(of_pod == Some(false), &bad(pod, |c| flag(c, FIELD) == Some(false))) {
        return Some(format!("runAsNonRoot != true ({who} must not set securityContext.runAsNonRoot=false)"));
    }
    let names = bad(pod, |c| of_pod.is_none() && flag(c, FIELD).is_none());
    (!names.is_empty()).then(|| {
        format!("runAsNonRoot != true (pod or {} must set securityContext.runAsNonRoot=true)", named(&names))
    })
}

fn run_as_user(pod: &Tree) -> Option<String> {
    let root = |owner: &Tree| owner.pointer("/securityContext/runAsUser").and_then(Tree::as_i64) == Some(0);
    if has_own_users(pod) {
        return None;
    }
    let who = setters(root(&pod["spec"]), &bad(pod, root))?;
    Some(format!("runAsUser=0 ({who} must not set runAsUser=0)"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: Tree, container: Tree) -> Tree {
        let mut pod = json!({ "spec": spec });
        let mut first = json!({"name": "c"});
        container.as_object().unwrap().iter().for_each(|(key, value)| first[key] = value.clone());
        pod["spec"]["containers"] = json!([first]);
        pod
    }

    #[test]
    fn a_plain_pod_lacks_what_restricted_wants() {
        let plain = pod(json!({}), json!({}));
        assert!(violations(&plain, Level::Baseline).is_empty());
        assert_eq!(
            violations(&plain, Level::Restricted).join(", "),
            "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
             unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
             seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
        let good = pod(
            json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "volumes": [{"name": "v", "configMap": {}}]}),
            json!({"securityContext": {"allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}),
        );
        assert!(violations(&good, Level::Restricted).is_empty());
    }

    #[test]
    fn each_rule_says_who_breaks_it() {
        let none = || json!({});
        let cases = [
            (
                pod(json!({"hostNetwork": true, "hostPID": true}), none()),
                "host namespaces (hostNetwork=true, hostPID=true)",
            ),
            (
                pod(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), none()),
                "hostPath volumes (volume \"v\")",
            ),
            (
                pod(none(), json!({"ports": [{"hostPort": 80}, {"hostPort": 443}]})),
                "hostPort (container \"c\" uses hostPorts 443, 80)",
            ),
            (
                pod(none(), json!({"securityContext": {"privileged": true}})),
                "privileged (container \"c\" must not set securityContext.privileged=true)",
            ),
            (
                pod(none(), json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}})),
                "non-default capabilities (container \"c\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add)",
            ),
            (
                pod(none(), json!({"securityContext": {"procMount": "Unmasked"}})),
                "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
            ),
            (
                pod(json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}), none()),
                "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
            ),
            (
                pod(json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}), none()),
                "forbidden sysctls (kernel.msgmax)",
            ),
            (
                pod(
                    json!({"securityContext": {"seLinuxOptions": {"type": "x", "user": "u"}}}),
                    json!({"securityContext": {"seLinuxOptions": {"role": "r"}}}),
                ),
                "seLinuxOptions (pod and container \"c\" set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set; role may not be set)",
            ),
            (
                pod(json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}), none()),
                "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
            ),
            (
                pod(none(), json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}})),
                "forbidden AppArmor profile (container \"c\" must not set AppArmor profile type to \"Unconfined\")",
            ),
            (
                pod(none(), json!({"livenessProbe": {"httpGet": {"host": "h"}}})),
                "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"h\")",
            ),
        ];
        for (pod, want) in cases {
            assert_eq!(violations(&pod, Level::Baseline), [want]);
            assert!(violations(&pod, Level::Privileged).is_empty());
        }
    }

    #[test]
    fn restricted_replaces_the_weaker_rules() {
        let path = pod(json!({"volumes": [{"name": "v", "hostPath": {}}]}), json!({}));
        let found = violations(&path, Level::Restricted);
        assert!(found.contains(
            &"restricted volume types (volume \"v\" uses restricted volume type \"hostPath\")".to_owned()
        ));
        assert!(!found.iter().any(|line| line.starts_with("hostPath volumes")));
        let root = pod(json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": false}}), json!({}));
        let found = violations(&root, Level::Restricted);
        assert!(found.contains(&"runAsUser=0 (pod must not set runAsUser=0)".to_owned()));
        assert!(found.contains(
            &"runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)".to_owned()
        ));
        let own = pod(json!({"hostUsers": false, "securityContext": {"runAsUser": 0}}), json!({}));
        assert!(!violations(&own, Level::Restricted).iter().any(|line| line.starts_with("runAs")));
    }
}
