//! The v2 document of everything that is served.

use serde_json::Value;

use super::operations::definitions;
use super::schemas::reachable;
use super::{Flavour, Parts, Source, gnostic, info, write_members};

impl Parts<'_> {
    fn all_paths(&self) -> impl Iterator<Item = (String, Value)> {
        let groups = self.group_versions.iter().map(|(group, version)| self.group_item(group, version));
        groups.chain(self.source.resources.iter().flat_map(|resource| self.paths(resource)))
    }

    fn all_schemas(&self) -> impl Iterator<Item = (String, Value)> {
        let names = reachable(self, self.source.resources.iter().flat_map(definitions));
        names.into_iter().filter_map(|name| self.schema(&name).map(|schema| (name, schema)))
    }
}

/// The document as JSON.
pub fn v2_json(source: &Source<'_>) -> Vec<u8> {
    write(&Parts::new(source, Flavour::V2)).expect("trees are written to memory")
}

fn write(parts: &Parts<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"swagger\":\"2.0\",\"info\":");
    serde_json::to_writer(&mut out, &info())?;
    out.extend_from_slice(b",\"paths\":{");
    write_members(&mut out, parts.all_paths())?;
    out.extend_from_slice(b"},\"definitions\":{");
    write_members(&mut out, parts.all_schemas())?;
    out.extend_from_slice(b"}}");
    Ok(out)
}

/// The document as gnostic's protobuf: [`super::V2_PROTOBUF`].
pub fn v2_protobuf(source: &Source<'_>) -> Vec<u8> {
    let parts = Parts::new(source, Flavour::V2);
    gnostic::document(&info(), parts.all_paths(), parts.all_schemas())
}
