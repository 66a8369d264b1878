//! The group `rbac.authorization.k8s.io`: roles and bindings, each of a namespace or of the cluster.

mod validation;

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::names::path_segment_problems;

use crate::print::{AGE, CREATED_AT, NAME, text};
use crate::resource::{Resource, Scope};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

const GROUP: Resource = Resource { group: "rbac.authorization.k8s.io", ..table::BASE };

pub(crate) const ROLES: Resource = Resource {
    kind: "Role",
    plural: "roles",
    singular: "role",
    definition: "io.k8s.api.rbac.v1.Role",
    storage: "roles",
    strategy: &Role { cluster: false },
    columns: &[NAME, CREATED_AT],
    ..GROUP
};

pub(crate) const CLUSTER_ROLES: Resource = Resource {
    kind: "ClusterRole",
    plural: "clusterroles",
    singular: "clusterrole",
    scope: Scope::Cluster,
    definition: "io.k8s.api.rbac.v1.ClusterRole",
    storage: "clusterroles",
    strategy: &Role { cluster: true },
    columns: &[NAME, CREATED_AT],
    ..GROUP
};

pub(crate) const ROLE_BINDINGS: Resource = Resource {
    kind: "RoleBinding",
    plural: "rolebindings",
    singular: "rolebinding",
    definition: "io.k8s.api.rbac.v1.RoleBinding",
    storage: "rolebindings",
    strategy: &RoleBinding { cluster: false },
    columns: BINDING_COLUMNS,
    ..GROUP
};

pub(crate) const CLUSTER_ROLE_BINDINGS: Resource = Resource {
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    scope: Scope::Cluster,
    definition: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    storage: "clusterrolebindings",
    strategy: &RoleBinding { cluster: true },
    columns: BINDING_COLUMNS,
    ..GROUP
};

const BINDING_COLUMNS: &[Column] = &[
    NAME,
    text("Role", 0, "Role that is granted.", |binding, _| {
        format!("{}/{}", binding.text("roleRef.kind"), binding.text("roleRef.name")).into()
    }),
    AGE,
    text("Users", 1, "Users who get it.", |binding, _| subjects(binding, "User")),
    text("Groups", 1, "Groups that get it.", |binding, _| subjects(binding, "Group")),
    text("ServiceAccounts", 1, "Service accounts that get it.", |binding, _| {
        subjects(binding, "ServiceAccount")
    }),
];

fn subjects(binding: &Tree, kind: &str) -> Value {
    let of_kind = binding.items("subjects").iter().filter(|subject| subject.text("kind") == kind);
    let names = of_kind.map(|subject| match kind {
        "ServiceAccount" => format!("{}/{}", subject.text("namespace"), subject.text("name")),
        _ => subject.text("name").to_owned(),
    });
    names.collect::<Vec<_>>().join(", ").into()
}

struct Role {
    cluster: bool,
}

impl Strategy for Role {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::role(tree, self.cluster)
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, _context: &Context) -> ErrorList {
        validation::role(new, self.cluster)
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

struct RoleBinding {
    cluster: bool,
}

impl Strategy for RoleBinding {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(role) = tree.part_mut("roleRef") {
            role.default_text("apiGroup", GROUP.group);
        }
        for subject in tree.items_mut("subjects") {
            // A service account is of the core group, whose name is empty.
            if matches!(subject.text("kind"), "User" | "Group") {
                subject.default_text("apiGroup", GROUP.group);
            }
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::binding(tree, self.cluster)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::binding_update(new, old, self.cluster)
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn bindings_print_as_upstream() {
        let binding = json!({
            "metadata": {"name": "b", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "name": "a"}, {"kind": "User", "name": "b"},
                {"kind": "ServiceAccount", "namespace": "ns", "name": "sa"}],
        });
        assert_eq!(
            row(BINDING_COLUMNS, &binding, "2026-01-01T00:00:10Z"),
            "b|ClusterRole/view|10s|a, b||ns/sa"
        );
        let role = json!({"metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(row(ROLES.columns, &role, "2026-01-01T00:00:10Z"), "r|2026-01-01T00:00:00Z");
    }
}
