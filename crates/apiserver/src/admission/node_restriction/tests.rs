use serde_json::json;

use super::*;
use crate::fake::FakeObjects;
use crate::request::User;

fn world() -> Arc<FakeObjects> {
    let objects = FakeObjects::default();
    let pod = |name: &str, node: &str| {
        json!({"metadata": {"namespace": "ns", "name": name, "uid": name},
            "spec": {"nodeName": node, "serviceAccountName": "sa"}})
    };
    objects.put("", "nodes", json!({"metadata": {"name": "n1", "uid": "n1"}}));
    objects.put("", "pods", pod("mine", "n1"));
    objects.put("", "pods", pod("theirs", "n2"));
    let mut mirror = pod("mirror", "n1");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "hash"});
    objects.put("", "pods", mirror);
    objects.put("", "serviceaccounts", json!({"metadata": {"namespace": "ns", "name": "sa", "uid": "sa"}}));
    Arc::new(objects)
}

/// What the kubelet of `n1` is told: `operation group/resource[/subresource]`, the object, the stored one.
async fn told(
    operation: Operation,
    what: &str,
    object: Option<Tree>,
    old: Option<Tree>,
) -> Result<(), (u16, String)> {
    let parts: Vec<&str> = what.split('/').collect();
    let user = User {
        name: "system:node:n1".to_owned(),
        groups: vec!["system:nodes".to_owned()],
        ..User::default()
    };
    let mut object = object;
    let request = AdmissionRequest {
        operation,
        group: parts[0],
        version: "v1",
        kind: "",
        resource: parts[1],
        subresource: parts.get(2).copied().unwrap_or_default(),
        namespace: "ns",
        name: "x",
        object: object.as_mut(),
        old: old.as_ref(),
        user: &user,
        dry_run: false,
    };
    let restriction = NodeRestriction::new(world());
    restriction.check(&request).await.map_err(|error| (error.code, error.message))
}

#[tokio::test]
async fn slices_are_made_and_deleted_by_their_node() {
    let what = "resource.k8s.io/resourceslices";
    let slice = |node: &str| Some(json!({"spec": {"nodeName": node}}));
    let why = |verb: &str| {
        let why = format!("can only {verb} ResourceSlice with the same NodeName as the requesting node");
        Err((403, format!("resourceslices.resource.k8s.io \"x\" is forbidden: {why}")))
    };
    assert_eq!(told(Operation::Create, what, slice("n1"), None).await, Ok(()));
    assert_eq!(told(Operation::Create, what, slice("n2"), None).await, why("create"));
    assert_eq!(
        told(Operation::Create, what, Some(json!({"spec": {"allNodes": true}})), None).await,
        why("create")
    );
    assert_eq!(told(Operation::Delete, what, None, slice("n1")).await, Ok(()));
    assert_eq!(told(Operation::Delete, what, None, slice("n2")).await, why("delete"));
    assert_eq!(told(Operation::Update, what, slice("n1"), slice("n1")).await, Ok(()));
}

#[tokio::test]
async fn claims_change_as_a_resized_volume_changes_them() {
    let claim = json!({"metadata": {"name": "x", "resourceVersion": "1"}, "status": {"phase": "Bound"}});
    let told = |what: &'static str, change: fn(&mut Tree)| {
        let mut new = claim.clone();
        change(&mut new);
        told(Operation::Update, what, Some(new), Some(claim.clone()))
    };
    let status = "/persistentvolumeclaims/status";
    let resize: fn(&mut Tree) = |claim| {
        claim["metadata"]["resourceVersion"] = "2".into();
        claim["status"]["capacity"] = json!({"storage": "2Gi"});
        claim["status"]["allocatedResourceStatuses"] = json!({"storage": "NodeResizeInProgress"});
    };
    assert_eq!(told(status, resize).await, Ok(()));
    let refused = |why: &str| Err((403, format!("persistentvolumeclaims \"x\" is forbidden: {why}")));
    assert_eq!(told("/persistentvolumeclaims", resize).await, refused("may only update PVC status"));
    let only = "node \"n1\" is not allowed to update fields other than status.quantity and status.conditions";
    let changes: [fn(&mut Tree); 2] = [
        |claim| claim["status"]["phase"] = "Lost".into(),
        |claim| claim["metadata"]["labels"] = json!({"a": "b"}),
    ];
    for change in changes {
        assert_eq!(told(status, change).await, refused(only));
    }
}

#[tokio::test]
async fn certificates_are_asked_for_own_pods() {
    let what = "certificates.k8s.io/podcertificaterequests";
    let fitting = json!({"nodeName": "n1", "nodeUID": "n1", "podName": "mine", "podUID": "mine",
        "serviceAccountName": "sa", "serviceAccountUID": "sa"});
    let ask = |changed: &[(&str, &str)]| {
        let mut spec = fitting.clone();
        changed.iter().for_each(|(field, value)| spec[*field] = (*value).into());
        told(Operation::Create, what, Some(json!({ "spec": spec })), None)
    };
    assert_eq!(ask(&[]).await, Ok(()));
    let of = "PodCertificateRequest for pod \"ns/mine\"";
    let cases = [
        (
            &[("nodeName", "n2")][..],
            403,
            "PodCertificateRequest.Spec.NodeName=\"n2\", which is not the requesting node \"n1\"".to_owned(),
        ),
        (
            &[("nodeUID", "old")],
            500,
            format!("{of} names node UID \"old\", inconsistent with the running node (\"n1\")"),
        ),
        (
            &[("podName", "gone")],
            500,
            "while retrieving pod \"ns/gone\" named in the PodCertificateRequest: pods \"gone\" not found"
                .to_owned(),
        ),
        (
            &[("podUID", "old")],
            500,
            format!("{of} contains pod UID (\"old\") which differs from running pod \"mine\""),
        ),
        (
            &[("podName", "theirs"), ("podUID", "theirs")],
            403,
            "pod \"ns/theirs\" is not running on node \"n1\" named in the PodCertificateRequest".to_owned(),
        ),
        (&[("podName", "mirror"), ("podUID", "mirror")], 403, "pod \"ns/mirror\" is a mirror pod".to_owned()),
        (
            &[("serviceAccountName", "root")],
            403,
            format!("{of} contains serviceAccountName (\"root\") that differs from running pod (\"sa\")"),
        ),
        (
            &[("serviceAccountUID", "old")],
            500,
            format!(
                "{of} names service account UID \"old\", which differs from the running service account (\"sa\")"
            ),
        ),
    ];
    for (changed, code, why) in cases {
        let forbidden = "podcertificaterequests.certificates.k8s.io \"x\" is forbidden: ";
        let said = if code == 403 { format!("{forbidden}{why}") } else { why };
        assert_eq!(ask(changed).await, Err((code, said)), "{changed:?}");
    }
    let (code, said) = told(Operation::Delete, what, None, Some(json!({}))).await.unwrap_err();
    assert!(code == 403 && said.ends_with("unexpected operation DELETE"), "{said}");
}

#[tokio::test]
async fn pod_status_names_no_claims() {
    let pod =
        |status: Tree| Some(json!({"metadata": {"name": "x"}, "spec": {"nodeName": "n1"}, "status": status}));
    let update = |old: Tree, new: Tree| told(Operation::Update, "/pods/status", pod(new), pod(old));
    let made = |claim: &str| json!({"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": claim}]});
    let extended = |claim: &str| json!({"extendedResourceClaimStatus": {"resourceClaimName": claim}});
    assert_eq!(update(made("a"), made("a")).await, Ok(()));
    let refused = |why: &str| Err((403, format!("pods \"x\" is forbidden: node \"n1\" cannot update {why}")));
    assert_eq!(update(made("a"), made("b")).await, refused("resource claim statues"));
    assert_eq!(update(json!({}), made("b")).await, refused("resource claim statues"));
    assert_eq!(update(json!({}), extended("b")).await, refused("extended resource claim status"));
}

#[tokio::test]
async fn mirror_pods_refer_to_nothing() {
    let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1", "controller": true});
    let create = |spec: Tree| {
        let mut pod = json!({"metadata": {"name": "x", "annotations": {"kubernetes.io/config.mirror": "hash"},
            "ownerReferences": [owner]}, "spec": {"nodeName": "n1"}});
        spec.as_object().unwrap().iter().for_each(|(field, value)| pod["spec"][field] = value.clone());
        told(Operation::Create, "/pods", Some(pod), None)
    };
    let volume = |source: Tree| json!({ "volumes": [{"name": "v"}, source] });
    assert_eq!(create(volume(json!({"hostPath": {"path": "/etc"}}))).await, Ok(()));
    let downward = json!({"projected": {"sources": [{"downwardAPI": {}}]}});
    assert_eq!(create(volume(downward)).await, Ok(()));
    let projected = |source: Tree| volume(json!({"projected": {"sources": [source]}}));
    let cases = [
        (json!({"serviceAccountName": "sa"}), "serviceaccounts"),
        (json!({"imagePullSecrets": [{"name": "s"}]}), "secrets"),
        (volume(json!({"azureFile": {"secretName": "s"}})), "secrets"),
        (volume(json!({"configMap": {"name": "c"}})), "configmaps"),
        (json!({"resourceClaims": [{"name": "gpu"}]}), "resourceclaims"),
        (volume(json!({"csi": {"driver": "d"}})), "csidrivers (via CSI volumes)"),
        (volume(json!({"persistentVolumeClaim": {"claimName": "c"}})), "persistentvolumeclaims"),
        (volume(json!({"ephemeral": {}})), "persistentvolumeclaims (via ephemeral volumes)"),
        (projected(json!({"serviceAccountToken": {"path": "t"}})), "serviceaccounts (via projected volumes)"),
        (projected(json!({"clusterTrustBundle": {"path": "t"}})), "clustertrustbundles"),
        (projected(json!({"podCertificate": {"keyType": "ED25519"}})), "podcertificates"),
    ];
    for (spec, what) in cases {
        let why = format!("pods \"x\" is forbidden: node \"n1\" can not create pods that reference {what}");
        assert_eq!(create(spec).await, Err((403, why)));
    }
}
