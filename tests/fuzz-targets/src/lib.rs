//! What the fuzz targets in `fuzz/` call, so that `cargo test` can run the same code over their corpus. Each entry takes
//! any bytes; it panics only if a promise is broken.

use steersman_api::catalog::TypeId;
use steersman_api::{catalog, decode, protobuf, schema_of_type, yaml};
use steersman_apimachinery::{Tree, patch};

/// The kinds that inputs are decoded as: between them they have every shape of field.
const KINDS: [(&str, &str, &str); 4] =
    [("", "v1", "Pod"), ("apps", "v1", "Deployment"), ("", "v1", "Service"), ("", "v1", "Secret")];

fn kinds() -> impl Iterator<Item = TypeId> {
    KINDS.iter().map(|(group, version, kind)| catalog().kind(group, version, kind).expect("a built-in kind"))
}

/// Decodes the input as JSON, YAML and protobuf. What was decoded once decodes again to the same, without problems.
pub fn decode(input: &[u8]) {
    for id in kinds() {
        if let Ok(decoded) = decode::decode(input, id) {
            stays(&decoded.tree, id);
        }
        // A bare message of any kind: errors are fine, panics are not.
        if let Ok(tree) = protobuf::decode_message(input, id) {
            let _ = protobuf::encode_message(&tree, id);
        }
    }
    let _ = decode::decode_untyped(input);
    if let Ok((tree, id)) = protobuf::decode(input) {
        let again = protobuf::encode(&tree, id).expect("what came from protobuf goes back");
        assert_eq!(protobuf::decode(&again).map(|(tree, _)| tree).ok(), Some(tree), "protobuf round trip");
    }
    if let Ok(document) = yaml::parse(input) {
        let written = yaml::to_yaml(&document.tree);
        let read = yaml::parse(written.as_bytes()).expect("what was written can be read");
        assert_eq!(read.tree, document.tree, "YAML round trip of {written}");
    }
}

fn stays(tree: &Tree, id: TypeId) {
    let again = decode::decode_tree(tree.clone(), id).expect("what was decoded decodes again");
    assert_eq!(&again.tree, tree, "decoding twice");
    assert!(again.problems.is_empty(), "a decoded tree has no unknown field: {:?}", again.problems);
}

/// Two JSON values, one a line: an object and a patch. Each kind of patch applies or fails; a merge patch that applied
/// changes nothing when it is applied again.
pub fn patch(input: &[u8]) {
    let mut values = serde_json::Deserializer::from_slice(input).into_iter::<Tree>();
    let (Some(Ok(object)), Some(Ok(patch))) = (values.next(), values.next()) else { return };
    let _ = patch::apply_json(&object, &patch);
    if let Ok(merged) = patch::apply_merge(&object, &patch) {
        assert_eq!(patch::apply_merge(&merged, &patch).ok(), Some(merged), "a merge patch twice");
    }
    for id in kinds() {
        let _ = patch::apply_strategic(&object, &patch, &schema_of_type(id));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(!files.is_empty(), "the corpus of {target} is empty");
        files.iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    #[test]
    fn the_corpus_of_the_decoder_keeps_its_promises() {
        corpus("decode").iter().for_each(|input| super::decode(input));
    }

    #[test]
    fn the_corpus_of_the_patches_keeps_its_promises() {
        corpus("patch").iter().for_each(|input| super::patch(input));
    }

    /// Inputs of the corpus with bytes exchanged, taken out and doubled.
    fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8);
        (prop::sample::select(corpus(target)), changes).prop_map(|(mut input, changes)| {
            for (place, byte, change) in changes {
                let at = place.index(input.len() + 1).min(input.len().saturating_sub(1));
                match change {
                    0 if !input.is_empty() => input[at] = byte,
                    1 if !input.is_empty() => drop(input.remove(at)),
                    _ => input.insert(at, byte),
                }
            }
            input
        })
    }

    proptest! {
        #[test]
        fn damaged_input_of_the_decoder_keeps_its_promises(input in damaged("decode")) {
            super::decode(&input);
        }

        #[test]
        fn damaged_input_of_the_patches_keeps_its_promises(input in damaged("patch")) {
            super::patch(&input);
        }
    }
}
