//! Which slices to write so that they hold the groups, changing as few as possible. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use super::endpoints::{Group, ports_key};
use super::{MANAGED_BY, MANAGER, SERVICE_NAME};
use crate::ownership::controller_reference;
use crate::selectors::Labels;
use crate::service_pods::{HEADLESS, TRIGGER_TIME, is_headless};

/// Endpoints in one slice at most.
const MAX_ENDPOINTS: usize = 100;

/// What all slices of a service have in common.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    name: String,
    namespace: Option<String>,
    labels: Labels,
    annotations: Labels,
    owner: OwnerReference,
}

/// What to write.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<String>,
}

/// Endpoints stay in the slice where they are; new ones fill what has room; slices that became empty go.
pub(crate) fn plan(
    head: &Head,
    groups: Vec<Group>,
    existing: &[Arc<EndpointSlice>],
    trigger: Option<Timestamp>,
) -> Plan {
    let mut plan = Plan::default();
    let mut left: Vec<&Arc<EndpointSlice>> =
        existing.iter().filter(|slice| slice.metadata.deletion_timestamp.is_none()).collect();
    for group in groups {
        let (ours, others) = left.into_iter().partition(|slice| fits(slice, &group));
        left = others;
        place(head, group, ours, trigger, &mut plan);
    }
    plan.delete.extend(left.into_iter().filter_map(|slice| slice.metadata.name.clone()));
    plan
}

fn fits(slice: &EndpointSlice, group: &Group) -> bool {
    let ports = slice.ports.as_deref().unwrap_or_default();
    slice.address_type == group.address_type && ports_key(ports) == ports_key(&group.ports)
}

fn place(
    head: &Head,
    group: Group,
    mut slices: Vec<&Arc<EndpointSlice>>,
    trigger: Option<Timestamp>,
    plan: &mut Plan,
) {
    let Group { address_type, ports, endpoints } = group;
    let mut wanted: HashMap<String, Endpoint> = endpoints.into_iter().map(|e| (identity(&e), e)).collect();
    slices.sort_by_key(|slice| slice.metadata.name.clone());
    let mut kept: Vec<(&EndpointSlice, Vec<Endpoint>)> = Vec::new();
    for slice in slices {
        let held = slice.endpoints.iter().flatten();
        kept.push((slice, held.filter_map(|endpoint| wanted.remove(&identity(endpoint))).collect()));
    }
    let mut new: Vec<Endpoint> = wanted.into_values().collect();
    new.sort_by_key(identity);
    fill(&mut kept, &mut new);
    let placeholder = new.is_empty() && kept.iter().all(|(_, endpoints)| endpoints.is_empty());
    for (index, (slice, endpoints)) in kept.iter().enumerate() {
        if endpoints.is_empty() && !(placeholder && index == 0) {
            plan.delete.extend(slice.metadata.name.clone());
        } else if let Some(changed) = changed(head, slice, endpoints, trigger) {
            plan.update.push(changed);
        }
    }
    let mut chunks: Vec<&[Endpoint]> = new.chunks(MAX_ENDPOINTS).collect();
    if placeholder && kept.is_empty() {
        chunks.push(&[]);
    }
    for endpoints in chunks {
        plan.create.push(EndpointSlice {
            metadata: new_meta(head, trigger),
            address_type: address_type.to_owned(),
            endpoints: Some(endpoints.to_vec()),
            ports: Some(ports.clone()),
        });
    }
}

/// Puts new endpoints into slices with room: those that are written anyway first, then the fullest.
fn fill(kept: &mut [(&EndpointSlice, Vec<Endpoint>)], new: &mut Vec<Endpoint>) {
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|index| {
        let (slice, endpoints) = &kept[*index];
        let untouched = slice.endpoints.as_deref().unwrap_or_default() == endpoints.as_slice();
        (untouched, std::cmp::Reverse(endpoints.len()))
    });
    for index in order {
        let endpoints = &mut kept[index].1;
        let room = MAX_ENDPOINTS.saturating_sub(endpoints.len()).min(new.len());
        endpoints.extend(new.drain(..room));
    }
}

/// The slice as it should be, if it is not so yet.
fn changed(
    head: &Head,
    slice: &EndpointSlice,
    endpoints: &[Endpoint],
    trigger: Option<Timestamp>,
) -> Option<EndpointSlice> {
    let labels = Some(head.labels.clone());
    let same = slice.endpoints.as_deref().unwrap_or_default() == endpoints;
    let mut annotations = slice.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(TRIGGER_TIME);
    if same && slice.metadata.labels == labels && annotations == head.annotations {
        return None;
    }
    let mut next = EndpointSlice { endpoints: Some(endpoints.to_vec()), ..slice.clone() };
    next.metadata.labels = labels;
    next.metadata.annotations = Some(head.annotations.clone());
    note_trigger(&mut next.metadata, trigger);
    Some(next)
}

fn note_trigger(meta: &mut ObjectMeta, trigger: Option<Timestamp>) {
    let annotations = meta.annotations.get_or_insert_default();
    match trigger {
        Some(at) => annotations.insert(TRIGGER_TIME.to_owned(), at.to_string()),
        None => annotations.remove(TRIGGER_TIME),
    };
    if annotations.is_empty() {
        meta.annotations = None;
    }
}

/// What makes an endpoint the same one, whatever its conditions.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default();
    format!("{}/{uid}", endpoint.addresses.join(","))
}

fn new_meta(head: &Head, trigger: Option<Timestamp>) -> ObjectMeta {
    let mut meta = ObjectMeta {
        generate_name: Some(format!("{}-", head.name)),
        namespace: head.namespace.clone(),
        labels: Some(head.labels.clone()),
        annotations: Some(head.annotations.clone()),
        owner_references: Some(vec![head.owner.clone()]),
        ..ObjectMeta::default()
    };
    note_trigger(&mut meta, trigger);
    meta
}

impl Head {
    /// The head of the slices of a service with a selector.
    pub(crate) fn of_service(service: &Service) -> Self {
        let mut labels = service.metadata.labels.clone().unwrap_or_default();
        labels.remove(HEADLESS);
        if is_headless(service) {
            labels.insert(HEADLESS.to_owned(), String::new());
        }
        let annotations = Labels::new();
        Self::new(&service.metadata, labels, annotations, MANAGER, controller_reference(service))
    }

    /// The head of the slices that `manager` makes for the service that `source` is or is named like.
    pub(crate) fn new(
        source: &ObjectMeta,
        mut labels: Labels,
        annotations: Labels,
        manager: &str,
        owner: OwnerReference,
    ) -> Self {
        let name = source.name.clone().unwrap_or_default();
        labels.insert(MANAGED_BY.to_owned(), manager.to_owned());
        labels.insert(SERVICE_NAME.to_owned(), name.clone());
        Self { name, namespace: source.namespace.clone(), labels, annotations, owner }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Service {
        let service = json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "u", "labels": {"app": "web"}},
            "spec": {"clusterIP": "10.0.0.1"},
        });
        serde_json::from_value(service).expect("a service")
    }

    fn head() -> Head {
        Head::of_service(&service())
    }

    fn endpoint(number: usize, ready: bool) -> Endpoint {
        let endpoint = json!({
            "addresses": [format!("10.0.{}.{}", number / 250, number % 250)],
            "conditions": {"ready": ready}, "targetRef": {"uid": number.to_string()},
        });
        serde_json::from_value(endpoint).expect("an endpoint")
    }

    fn group(endpoints: Vec<Endpoint>) -> Vec<Group> {
        vec![Group { address_type: "IPv4", ports: Vec::new(), endpoints }]
    }

    fn stored(created: Vec<EndpointSlice>) -> Vec<Arc<EndpointSlice>> {
        let name = |(index, mut slice): (usize, EndpointSlice)| {
            slice.metadata.name = Some(format!("web-{index}"));
            Arc::new(slice)
        };
        created.into_iter().enumerate().map(name).collect()
    }

    #[test]
    fn endpoints_are_packed_and_stay_where_they_are() {
        let all = |count: usize| (0..count).map(|number| endpoint(number, true)).collect::<Vec<_>>();
        let first = plan(&head(), group(all(150)), &[], Some(Timestamp::UNIX_EPOCH));
        let counts: Vec<_> = first.create.iter().map(|s| s.endpoints.iter().flatten().count()).collect();
        assert_eq!(counts, [100, 50]);
        let meta = &first.create[0].metadata;
        assert_eq!(meta.generate_name.as_deref(), Some("web-"));
        assert_eq!(meta.annotations.as_ref().expect("some")[TRIGGER_TIME], "1970-01-01T00:00:00Z");
        let slices = stored(first.create);
        assert_eq!(plan(&head(), group(all(150)), &slices, None), Plan::default(), "settled");
        let grown = plan(&head(), group(all(160)), &slices, None);
        assert_eq!((grown.create.len(), grown.update.len()), (0, 1), "the slice with room takes them");
        let mut changed = all(150);
        let moved = changed
            .iter_mut()
            .find(|e| identity(e) == identity(&slices[0].endpoints.as_ref().expect("some")[0]));
        moved.expect("it is there").conditions.as_mut().expect("some").ready = Some(false);
        let update = plan(&head(), group(changed), &slices, None).update;
        assert_eq!(update.len(), 1);
        assert_eq!(update[0].metadata.name.as_deref(), Some("web-0"));
    }

    #[test]
    fn a_service_without_endpoints_keeps_one_empty_slice() {
        let empty = plan(&head(), group(Vec::new()), &[], None);
        assert_eq!(empty.create.len(), 1);
        let slices = stored(empty.create);
        assert_eq!(plan(&head(), group(Vec::new()), &slices, None), Plan::default());
        let filled = plan(&head(), group(vec![endpoint(1, true)]), &slices, None);
        assert_eq!((filled.create.len(), filled.update.len(), filled.delete.len()), (0, 1, 0));
        let other_ports = Group {
            address_type: "IPv4",
            ports: vec![serde_json::from_value(json!({"name": "", "port": 80})).expect("a port")],
            endpoints: vec![endpoint(1, true)],
        };
        let replaced = plan(&head(), vec![other_ports], &slices, None);
        assert_eq!((replaced.create.len(), replaced.delete), (1, vec!["web-0".to_owned()]));
    }

    #[test]
    fn labels_follow_the_service() {
        let slices = stored(plan(&head(), group(Vec::new()), &[], None).create);
        let mut service = service();
        service.metadata.labels = None;
        service.spec.as_mut().expect("a spec").cluster_ip = Some("None".to_owned());
        let update = plan(&Head::of_service(&service), group(Vec::new()), &slices, None).update;
        let labels = update[0].metadata.labels.clone().expect("labels");
        assert_eq!(labels.keys().collect::<Vec<_>>(), [MANAGED_BY, SERVICE_NAME, HEADLESS]);
    }
}
