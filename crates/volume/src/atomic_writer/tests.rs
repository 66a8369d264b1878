use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn payload(files: &[(&str, &str)]) -> Payload {
    files
        .iter()
        .map(|(path, data)| {
            ((*path).to_owned(), File { data: data.as_bytes().to_vec(), mode: 0o640, user: None })
        })
        .collect()
}

/// What a reader sees through the links, leaving out the writer's own names.
fn visible(root: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(root.join(&dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if dir.is_empty() && name.starts_with("..") {
                continue;
            }
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if root.join(&path).is_dir() {
                dirs.push(path);
            } else {
                seen.insert(path.clone(), fs::read_to_string(root.join(&path)).unwrap());
            }
        }
    }
    seen
}

#[test]
fn the_second_write_of_the_same_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let writer = AtomicWriter::new(dir.path());
    let files = payload(&[("a", "1"), ("d/b", "2")]);
    assert_eq!(writer.write(&files, None).unwrap(), Written::Updated);
    let version = fs::read_link(dir.path().join("..data")).unwrap();
    assert_eq!(writer.write(&files, None).unwrap(), Written::Unchanged);
    assert_eq!(fs::read_link(dir.path().join("..data")).unwrap(), version);
    let mode = fs::metadata(dir.path().join("d/b")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn an_update_replaces_the_version_and_drops_what_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let writer = AtomicWriter::new(dir.path());
    writer.write(&payload(&[("a", "1"), ("gone", "x")]), None).unwrap();
    let old = fs::read_link(dir.path().join("..data")).unwrap();
    writer.write(&payload(&[("a", "2")]), None).unwrap();
    assert_eq!(visible(dir.path()), [("a".to_owned(), "2".to_owned())].into());
    assert!(!dir.path().join(old).exists());
    assert!(fs::symlink_metadata(dir.path().join("gone")).is_err());
}

#[test]
fn the_link_of_a_file_survives_an_update() {
    let dir = tempfile::tempdir().unwrap();
    let writer = AtomicWriter::new(dir.path());
    writer.write(&payload(&[("a", "1")]), None).unwrap();
    assert_eq!(fs::read_link(dir.path().join("a")).unwrap(), Path::new("..data/a"));
    writer.write(&payload(&[("a", "2")]), None).unwrap();
    assert_eq!(fs::read_link(dir.path().join("a")).unwrap(), Path::new("..data/a"));
}

#[test]
fn an_empty_payload_still_publishes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(AtomicWriter::new(dir.path()).write(&Payload::new(), None).unwrap(), Written::Updated);
    assert!(dir.path().join("..data").is_dir());
}

#[test]
fn a_path_out_of_the_volume_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let error = AtomicWriter::new(dir.path()).write(&payload(&[("../x", "1")]), None).unwrap_err();
    assert!(matches!(error, WriteError::Path(InvalidPath::Escapes(_))), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was written before, the reader sees exactly the last payload and one version is left.
    #[test]
    fn the_last_payload_is_what_is_seen(
        rounds in prop::collection::vec(
            prop::collection::btree_map("[a-c](/[x-y])?", "[0-9]{0,3}", 0..4), 1..5)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let writer = AtomicWriter::new(dir.path());
        let mut last = BTreeMap::new();
        for round in rounds {
            // A name cannot be both a file and a directory.
            let round: BTreeMap<String, String> = round
                .iter()
                .filter(|(path, _)| path.contains('/') || !round.keys().any(|k| k.starts_with(&format!("{path}/"))))
                .map(|(path, data)| (path.clone(), data.clone()))
                .collect();
            let files: Vec<(&str, &str)> = round.iter().map(|(p, d)| (p.as_str(), d.as_str())).collect();
            writer.write(&payload(&files), None).unwrap();
            last = round;
        }
        prop_assert_eq!(visible(dir.path()), last);
        let versions = fs::read_dir(dir.path()).unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("..2"))
            .count();
        prop_assert_eq!(versions, 1);
    }
}
