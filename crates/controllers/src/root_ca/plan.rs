//! What must happen to the config map of one namespace. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

/// Name of the config map.
pub(super) const NAME: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    Settled,
    Create(ConfigMap),
    Update(ConfigMap),
}

/// The map holds the bundle and nothing else, and says what it is for.
pub(super) fn plan(current: Option<&ConfigMap>, namespace: &str, root_ca: &str) -> Plan {
    let data = Some(BTreeMap::from([(FILE.to_owned(), root_ca.to_owned())]));
    let described = |map: &ConfigMap| {
        let annotations = map.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(DESCRIPTION.0)).is_some_and(|text| text == DESCRIPTION.1)
    };
    match current {
        Some(map) if map.data == data && described(map) => Plan::Settled,
        Some(map) => Plan::Update(describe(ConfigMap { data, ..map.clone() })),
        None => {
            let metadata = ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            };
            Plan::Create(describe(ConfigMap { metadata, data, ..ConfigMap::default() }))
        }
    }
}

fn describe(mut map: ConfigMap) -> ConfigMap {
    let annotations = map.metadata.annotations.get_or_insert_default();
    annotations.insert(DESCRIPTION.0.to_owned(), DESCRIPTION.1.to_owned());
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_made_mended_and_left_alone() {
        let Plan::Create(made) = plan(None, "ns", "PEM") else { panic!("it is not there yet") };
        assert_eq!(plan(Some(&made), "ns", "PEM"), Plan::Settled);
        let mut broken = made.clone();
        broken.data.get_or_insert_default().insert("other".to_owned(), String::new());
        assert_eq!(plan(Some(&broken), "ns", "PEM"), Plan::Update(made.clone()));
        let Plan::Update(renewed) = plan(Some(&made), "ns", "NEW") else { panic!("the bundle changed") };
        assert_eq!(renewed.data.expect("data")[FILE], "NEW");
    }
}
