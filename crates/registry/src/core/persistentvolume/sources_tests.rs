//! Each case is a whole source and names the problems that upstream reports.

use serde_json::{Value, json};

use super::*;
use crate::checks::tests::texts;

fn check(cases: &[(Value, &[&str])]) {
    for (spec, want) in cases {
        let mut found = ErrorList::new();
        one(&mut found, spec, "v", &Path::new("spec"));
        assert_eq!(texts(&found), *want, "{spec}");
    }
}

#[test]
fn there_is_one_source() {
    check(&[
        (json!({}), &["spec: Required value: must specify a volume type"]),
        (json!({"hostPath": {"path": "/a"}}), &[]),
        (
            json!({"hostPath": {"path": "/a"}, "cephfs": {}}),
            &["spec.cephFS: Forbidden: may not specify more than 1 volume type"],
        ),
        (json!({"hostPath": {"path": "/a"}, "flexVolume": {"driver": "d"}}), &[]),
    ]);
}

#[test]
fn sources_cannot_do_without_some_fields() {
    check(&[
        (json!({"hostPath": {}}), &["spec.hostPath.path: Required value"]),
        (json!({"gcePersistentDisk": {}}), &["spec.persistentDisk.pdName: Required value"]),
        (json!({"rbd": {}}), &["spec.rbd.monitors: Required value", "spec.rbd.image: Required value"]),
        (json!({"cephfs": {"monitors": []}}), &["spec.cephfs.monitors: Required value"]),
        (json!({"vsphereVolume": {}}), &["spec.vsphereVolume.volumePath: Required value"]),
        (json!({"photonPersistentDisk": {}}), &["spec.photonPersistentDisk.pdID: Required value"]),
        (json!({"portworxVolume": {}}), &["spec.portworxVolume.volumeID: Required value"]),
        (
            json!({"scaleIO": {"gateway": "g"}}),
            &["spec.scaleIO.system: Required value", "spec.scaleIO.volumeName: Required value"],
        ),
        (
            json!({"cinder": {"volumeID": "v", "secretRef": {}}}),
            &[
                "spec.cinder.secretRef.name: Required value",
                "spec.cinder.secretRef.namespace: Required value",
            ],
        ),
        (
            json!({"azureFile": {"secretName": "s", "shareName": "s", "secretNamespace": ""}}),
            &["spec.azureFile.secretNamespace: Required value"],
        ),
        (
            json!({"csi": {"driver": "", "controllerExpandSecretRef": {"name": "s"}}}),
            &[
                "spec.csi.driver: Required value",
                "spec.csi.volumeHandle: Required value",
                "spec.csi.controllerExpandSecretRef.namespace: Required value",
            ],
        ),
        (
            json!({"local": {}}),
            &[
                "spec.local.path: Required value",
                "spec.nodeAffinity: Required value: Local volume requires node affinity",
            ],
        ),
        (json!({"storageos": {}}), &["spec.storageos.volumeName: Required value"]),
    ]);
}

#[test]
fn sources_say_what_they_need() {
    check(&[
        (
            json!({"awsElasticBlockStore": {"volumeID": "v", "partition": 256}}),
            &[
                "spec.awsElasticBlockStore.partition: Invalid value: 256: must be between 1 and 255, inclusive",
            ],
        ),
        (
            json!({"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": ""}}),
            &[
                "spec.glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid namespace name",
            ],
        ),
        (
            json!({"flocker": {}}),
            &["spec.flocker: Required value: one of datasetName and datasetUUID is required"],
        ),
        (
            json!({"flocker": {"datasetName": "a/b", "datasetUUID": "u"}}),
            &[
                "spec.flocker: Invalid value: \"resource\": datasetName and datasetUUID can not be specified simultaneously",
                "spec.flocker.datasetName: Invalid value: \"a/b\": must not contain '/'",
            ],
        ),
        (
            json!({"nfs": {"server": "s", "path": "p"}}),
            &["spec.nfs.path: Invalid value: \"p\": must be an absolute path"],
        ),
        (
            json!({"quobyte": {"registry": "a:1,b", "volume": "v"}}),
            &[
                "spec.quobyte.registry: Invalid value: \"a:1,b\": must be a host:port pair or multiple pairs separated by commas",
            ],
        ),
        (
            json!({"quobyte": {"registry": "a:1", "tenant": "t".repeat(65)}}),
            &[
                "spec.quobyte.tenant: Required value: must be a UUID and may not exceed a length of 64 characters",
                "spec.quobyte.volume: Required value",
            ],
        ),
        (
            json!({"quobyte": {"volume": "v"}}),
            &[
                "spec.quobyte.registry: Required value: must be a host:port pair or multiple pairs separated by commas",
            ],
        ),
        (
            json!({"fc": {}}),
            &["spec.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both"],
        ),
        (
            json!({"fc": {"targetWWNs": ["a"], "wwids": ["b"], "lun": 256}}),
            &[
                "spec.fc.targetWWNs: Invalid value: [\"a\"]: targetWWNs and wwids can not be specified simultaneously",
                "spec.fc.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            ],
        ),
        (
            json!({"fc": {"targetWWNs": ["a"]}}),
            &["spec.fc.lun: Required value: lun is required if targetWWNs is specified"],
        ),
        (
            json!({"flexVolume": {"driver": "d", "options": {"x.K8s.io/a": "b"}}}),
            &[
                "spec.flexVolume.options[x.K8s.io/a]: Invalid value: \"x.K8s.io/a\": kubernetes.io and k8s.io namespaces are reserved",
            ],
        ),
        (
            json!({"azureDisk": {"diskName": "d", "diskURI": "u", "kind": "Managed", "cachingMode": "All"}}),
            &[
                "spec.azureDisk.cachingMode: Unsupported value: \"All\": supported values: \"None\", \"ReadOnly\", \"ReadWrite\"",
                "spec.azureDisk.diskURI: Unsupported value: \"u\": supported values: \"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}\"",
            ],
        ),
        (
            json!({"local": {"path": "/a/../b"}, "nodeAffinity": {}}),
            &["spec.local.path: Invalid value: \"/a/../b\": must not contain '..'"],
        ),
        (
            json!({"csi": {"driver": "x".repeat(64), "volumeHandle": "h"}}),
            &["spec.csi.driver: Too long: may not be more than 63 bytes"],
        ),
        (
            json!({"iscsi": {"targetPortal": "p", "iqn": "x", "lun": 256, "initiatorName": "y", "chapAuthSession": true}}),
            &[
                "spec.iscsi.iqn: Invalid value: \"x\": must be valid format",
                "spec.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
                "spec.iscsi.secretRef: Required value",
                "spec.iscsi.initiatorname: Invalid value: \"y\": must be valid format",
            ],
        ),
        (
            json!({"iscsi": {"secretRef": {}}}),
            &[
                "spec.iscsi.targetPortal: Required value",
                "spec.iscsi.iqn: Required value",
                "spec.iscsi.secretRef.name: Required value",
            ],
        ),
    ]);
    let mut found = ErrorList::new();
    let long = json!({"iscsi": {"targetPortal": "p", "iqn": "eui.0123456789ABCDEF", "initiatorName": "eui.0123456789ABCDEF"}});
    one(&mut found, &long, &"n".repeat(63), &Path::new("spec"));
    assert_eq!(
        texts(&found),
        [
            "spec.iscsi.targetportal: Invalid value: \"p\": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
        ]
    );
}
