//! The names of a custom resource.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1035_label_problems;

use crate::tree::Read;

/// Checks the names that are given, in a spec or in a status.
pub(super) fn names(found: &mut ErrorList, names: &Tree, path: &Path) {
    let mut label = |name: &str, shown: &str, path: Path, before: &str| {
        let problems = dns1035_label_problems(name, false);
        if !problems.is_empty() {
            found.push(Error::invalid(path, shown, format!("{before}{}", problems.join(","))));
        }
    };
    for field in ["plural", "singular"] {
        let name = names.text(field);
        if !name.is_empty() {
            label(name, name, path.child(field), "");
        }
    }
    for field in ["kind", "listKind"] {
        let name = names.text(field);
        if !name.is_empty() {
            let before = "may have mixed case, but should otherwise match: ";
            label(&name.to_lowercase(), name, path.child(field), before);
        }
    }
    for (index, name) in names.texts("shortNames").into_iter().enumerate() {
        label(name, name, path.child("shortNames").index(index), "");
    }
    let (kind, list) = (names.text("kind"), names.text("listKind"));
    if !kind.is_empty() && kind == list {
        found.push(Error::invalid(path.child("listKind"), list, "kind and listKind may not be the same"));
    }
    for (index, name) in names.texts("categories").into_iter().enumerate() {
        let problems = dns1035_label_problems(name, false);
        if !problems.is_empty() {
            found.push(Error::invalid(path.child("categories").index(index), name, problems.join(",")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_labels() {
        let check = |tree: &Tree| {
            let mut found = ErrorList::new();
            names(&mut found, tree, &Path::new("n"));
            found
        };
        let good = json!({"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList",
            "shortNames": ["ct"], "categories": ["all"]});
        assert!(check(&good).is_empty() && check(&json!({})).is_empty());
        let bad = json!({"plural": "A", "singular": "1a", "kind": "A b", "listKind": "A b", "shortNames": ["ok", "-"],
            "categories": ["C"]});
        let paths: Vec<String> = check(&bad).iter().map(|error| error.path.to_string()).collect();
        let want = [
            "n.plural",
            "n.singular",
            "n.kind",
            "n.listKind",
            "n.shortNames[1]",
            "n.listKind",
            "n.categories[0]",
        ];
        assert_eq!(paths, want);
        let found = check(&bad);
        assert!(
            found[2].detail.starts_with("may have mixed case, but should otherwise match: a DNS-1035 label")
        );
        assert_eq!(found[5].detail, "kind and listKind may not be the same");
    }
}
