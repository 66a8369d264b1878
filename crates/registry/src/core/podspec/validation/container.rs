//! Containers of the three kinds.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_label_problems, port_name_problems};

use super::{Whole, env, handlers, mounts, resources, security};
use crate::checks::{Seen, invalid, known_word, port_number, required, required_name, required_word};
use crate::tree::Read;

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];
const ONLY_SIDECARS: &str = "may not be set for init containers without restartPolicy=Always";
const NOT_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

/// Fields that containers for debugging have none of, since nothing may rely on them.
const FORBIDDEN_IN_EPHEMERAL: [&str; 7] = [
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
];

/// All containers of a pod spec.
pub(super) fn all(found: &mut ErrorList, whole: &Whole, path: &Path) {
    regular(found, whole, &path.child("containers"));
    init(found, whole, &path.child("initContainers"));
    ephemeral(found, whole, &path.child("ephemeralContainers"));
}

fn regular(found: &mut ErrorList, whole: &Whole, path: &Path) {
    let containers = whole.spec.items("containers");
    if containers.is_empty() {
        found.push(Error::required(path.clone(), ""));
        return;
    }
    let mut names = Seen::default();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        common(found, whole, container, &path);
        names.unique(found, path.child("name"), container.text("name"));
        handlers::of_container(found, whole, container, &path);
        restart_policy(found, container, &path);
    }
    host_ports(found, containers, path);
}

fn init(found: &mut ErrorList, whole: &Whole, list: &Path) {
    let mut names = Seen::default();
    whole.spec.items("containers").iter().for_each(|container| {
        names.first(container.text("name"));
    });
    for (index, container) in whole.spec.items("initContainers").iter().enumerate() {
        let path = list.index(index);
        common(found, whole, container, &path);
        restart_policy(found, container, &path);
        if names.has(container.text("name")) || !container.text("name").is_empty() {
            names.unique(found, path.child("name"), container.text("name"));
        }
        // They run one after the other, so each is alone with its ports.
        host_ports(found, std::slice::from_ref(container), list);
        if container.text("restartPolicy") == "Always" {
            handlers::of_container(found, whole, container, &path);
            continue;
        }
        for field in ["lifecycle"].into_iter().chain(PROBES).filter(|field| container.has(field)) {
            found.push(Error::forbidden(path.child(field), ONLY_SIDECARS));
        }
    }
}

fn ephemeral(found: &mut ErrorList, whole: &Whole, path: &Path) {
    let others: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| whole.spec.items(list))
        .map(|container| container.text("name"))
        .collect();
    let mut names = Seen::default();
    others.iter().for_each(|name| {
        names.first(*name);
    });
    for (index, container) in whole.spec.items("ephemeralContainers").iter().enumerate() {
        let path = path.index(index);
        common(found, whole, container, &path);
        no_outer_space(found, container, &path);
        names.unique(found, path.child("name"), container.text("name"));
        let target = container.text("targetContainerName");
        if !target.is_empty() && !others.contains(&target) {
            found.push(Error::not_found(path.child("targetContainerName"), target));
        }
        for field in FORBIDDEN_IN_EPHEMERAL.into_iter().filter(|field| container.has(field)) {
            found.push(Error::forbidden(path.child(field), NOT_EPHEMERAL));
        }
        if container.entries("resources").next().is_some() {
            found.push(Error::forbidden(path.child("resources"), NOT_EPHEMERAL));
        }
        for (index, mount) in container.items("volumeMounts").iter().enumerate() {
            let path = path.child("volumeMounts").index(index);
            for field in ["subPath", "subPathExpr"].into_iter().filter(|field| !mount.text(field).is_empty())
            {
                found.push(Error::forbidden(path.child(field), NOT_EPHEMERAL));
            }
        }
    }
}

/// An image's name with blanks around it is refused in pods; old templates may have it.
pub(super) fn no_outer_space(found: &mut ErrorList, container: &Tree, path: &Path) {
    let image = container.text("image");
    if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        found.push(Error::invalid(path.child("image"), image, why));
    }
}

/// What holds for containers of every kind.
fn common(found: &mut ErrorList, whole: &Whole, container: &Tree, path: &Path) {
    required_name(found, path.child("name"), container.text("name"), dns1123_label_problems);
    required(found, path.child("image"), container.text("image"));
    required_word(
        found,
        path.child("terminationMessagePolicy"),
        container.text("terminationMessagePolicy"),
        &["File", "FallbackToLogsOnError"],
    );
    ports(found, container.items("ports"), &path.child("ports"));
    env::variables(found, container.items("env"), &path.child("env"));
    env::sources(found, container.items("envFrom"), &path.child("envFrom"));
    mounts::files(found, whole, container, &path.child("volumeMounts"));
    mounts::devices(found, whole, container, &path.child("volumeDevices"));
    required_word(
        found,
        path.child("imagePullPolicy"),
        container.text("imagePullPolicy"),
        &["Always", "IfNotPresent", "Never"],
    );
    resources::requirements(found, container.at("resources"), &path.child("resources"));
    resources::resize_policy(found, whole.spec, container, &path.child("resizePolicy"));
    security::container(found, container.at("securityContext"), &path.child("securityContext"));
}

fn restart_policy(found: &mut ErrorList, container: &Tree, path: &Path) {
    let policy = path.child("restartPolicy");
    if container.has("restartPolicy") {
        known_word(found, policy, container.text("restartPolicy"), &RESTART_POLICIES);
    } else if !container.items("restartPolicyRules").is_empty() {
        found.push(Error::required(policy, "must specify restartPolicy when restart rules are used"));
    }
}

fn ports(found: &mut ErrorList, ports: &[Tree], path: &Path) {
    let mut names = Seen::default();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.text("name");
        if !name.is_empty() {
            let problems = port_name_problems(name);
            if problems.is_empty() {
                names.unique(found, path.child("name"), name);
            }
            invalid(found, &path.child("name"), name, problems);
        }
        match port.int("containerPort").unwrap_or(0) {
            0 => found.push(Error::required(path.child("containerPort"), "")),
            number => port_number(found, &path.child("containerPort"), number),
        }
        if let Some(number) = port.int("hostPort").filter(|number| *number != 0) {
            port_number(found, &path.child("hostPort"), number);
        }
        required_word(found, path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

/// A host port can be given away once for each protocol and address.
fn host_ports(found: &mut ErrorList, containers: &[Tree], path: &Path) {
    let mut taken = Seen::default();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index).child("ports");
        for (index, port) in container.items("ports").iter().enumerate() {
            let Some(number) = port.int("hostPort").filter(|number| *number != 0) else { continue };
            let what = format!("{}/{}/{number}", port.text("protocol"), port.text("hostIP"));
            if !taken.first(what.clone()) {
                found.push(Error::duplicate(path.index(index).child("hostPort"), what));
            }
        }
    }
}
