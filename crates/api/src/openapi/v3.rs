//! The v3 document of one group version.

use super::operations::definitions;
use super::schemas::reachable;
use super::{Flavour, GroupVersion, Parts, Source, info, write_members};

/// The document as JSON; `None` if nothing is served in this group version.
pub fn v3_json(source: &Source<'_>, group_version: GroupVersion<'_>) -> Option<Vec<u8>> {
    source.of(group_version).next()?;
    let parts = Parts::new(source, Flavour::V3);
    Some(write(&parts, group_version).expect("trees are written to memory"))
}

fn write(parts: &Parts<'_>, group_version: GroupVersion<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let (group, version) = group_version;
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"openapi\":\"3.0.0\",\"info\":");
    serde_json::to_writer(&mut out, &info())?;
    out.extend_from_slice(b",\"paths\":{");
    let paths = parts.source.of(group_version).flat_map(|resource| parts.paths(resource));
    write_members(&mut out, std::iter::once(parts.group_item(group, version)).chain(paths))?;
    out.extend_from_slice(b"},\"components\":{\"schemas\":{");
    let names = reachable(parts, parts.source.of(group_version).flat_map(definitions));
    write_members(&mut out, names.into_iter().filter_map(|name| parts.schema(&name).map(|s| (name, s))))?;
    out.extend_from_slice(b"}}}");
    Ok(out)
}
