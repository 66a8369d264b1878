//! Descriptions of what every object has, from the catalogue's descriptions.

use std::sync::LazyLock;

use steersman_api::openapi::field_descriptions;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const OBJECT: &str = "io.k8s.api.core.v1.Pod";
const LIST: &str = "io.k8s.api.core.v1.PodList";

/// The descriptions.
pub(crate) struct Texts {
    pub(crate) name: String,
    pub(crate) creation_timestamp: String,
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: String,
    pub(crate) list_metadata: String,
}

/// They are unpacked once.
pub(crate) fn texts() -> &'static Texts {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        let [name, creation_timestamp, api_version, kind, metadata, list_metadata] = field_descriptions([
            (OBJECT_META, "name"),
            (OBJECT_META, "creationTimestamp"),
            (OBJECT, "apiVersion"),
            (OBJECT, "kind"),
            (OBJECT, "metadata"),
            (LIST, "metadata"),
        ]);
        Texts { name, creation_timestamp, api_version, kind, metadata, list_metadata }
    });
    &TEXTS
}
