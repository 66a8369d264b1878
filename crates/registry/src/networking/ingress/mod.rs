//! Ingresses.

mod validation;

use std::collections::BTreeSet;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::addresses::ip_warning;
use crate::print::{self, or};
use crate::resource::{Resource, Verb};
use crate::rules::{count_generation, differs, keep_spec, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(crate) const RESOURCE: Resource = Resource {
    group: "networking.k8s.io",
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    subresources: &[table::part("status", "networking.k8s.io", "Ingress", Verb::READ_WRITE)],
    definition: "io.k8s.api.networking.v1.Ingress",
    storage: "ingress",
    strategy: &Ingress,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Class", 0, "Class that says which controller serves it.", |ingress, _| {
        ingress.at("spec.ingressClassName").as_str().unwrap_or("<none>").into()
    }),
    print::text("Hosts", 0, "Hosts of the rules.", |ingress, _| hosts(ingress).into()),
    print::text("Address", 0, "Addresses of the load balancer.", |ingress, _| addresses(ingress).into()),
    print::text("Ports", 0, "Ports that open.", |ingress, _| {
        (if ingress.items("spec.tls").is_empty() { "80" } else { "80, 443" }).into()
    }),
    print::AGE,
];

const MAX_HOSTS: usize = 3;

/// The first hosts. The rest is counted in rules, whether they have a host or not, as upstream counts.
fn hosts(ingress: &Tree) -> String {
    let rules = ingress.items("spec.rules");
    let named = || rules.iter().enumerate().filter(|(_, rule)| !rule.text("host").is_empty());
    let shown: Vec<&str> = named().take(MAX_HOSTS).map(|(_, rule)| rule.text("host")).collect();
    let last = named().nth(MAX_HOSTS - 1).map_or(rules.len(), |(index, _)| index);
    if last + 1 < rules.len() {
        return format!("{} + {} more...", shown.join(","), rules.len() - MAX_HOSTS);
    }
    or(&shown.join(","), "*").to_owned()
}

fn addresses(ingress: &Tree) -> String {
    let all = ingress.items("status.loadBalancer.ingress").iter();
    let unique: BTreeSet<&str> = all.map(|i| or(i.text("ip"), i.text("hostname"))).collect();
    unique.into_iter().filter(|address| !address.is_empty()).collect::<Vec<_>>().join(",")
}

struct Ingress;

impl Strategy for Ingress {
    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({"loadBalancer": {}}));
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource.is_some() {
            keep_spec(new, old);
            return;
        }
        new.copy(old, "status");
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some(_) => validation::status(new, old),
            None => validation::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        if context.subresource.is_some() {
            return status_warnings(new);
        }
        let old_way = new.at("metadata.annotations").get(CLASS_ANNOTATION).is_some();
        if old.is_none() && old_way && !new.has("spec.ingressClassName") {
            let why = "is deprecated, please use 'spec.ingressClassName' instead";
            return vec![format!("annotation \"{CLASS_ANNOTATION}\" {why}")];
        }
        Vec::new()
    }
}

fn status_warnings(ingress: &Tree) -> Vec<String> {
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let all = ingress.items("status.loadBalancer.ingress").iter().enumerate();
    all.filter_map(|(index, ingress)| ip_warning(&path.index(index), ingress.text("ip"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn ingresses_print_as_upstream() {
        let ingress = |spec: Value, status: Value| {
            json!({"metadata": {"name": "i", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec,
                "status": {"loadBalancer": {"ingress": status}}})
        };
        let rules = |hosts: &[&str]| hosts.iter().map(|host| json!({"host": host})).collect::<Vec<_>>();
        let cases = [
            (json!({}), json!([]), "i|<none>|*||80|5m"),
            (
                json!({"ingressClassName": "nginx", "rules": rules(&["b", "a"]), "tls": [{}]}),
                json!([{"ip": "2.2.2.2"}, {"hostname": "lb.example"}, {"ip": "1.1.1.1"}]),
                "i|nginx|b,a|1.1.1.1,2.2.2.2,lb.example|80, 443|5m",
            ),
            (json!({"rules": rules(&["a", "b", "c"])}), json!([]), "i|<none>|a,b,c||80|5m"),
            (
                json!({"rules": rules(&["a", "", "b", "c", "d"])}),
                json!([]),
                "i|<none>|a,b,c + 2 more...||80|5m",
            ),
        ];
        for (spec, status, want) in cases {
            assert_eq!(row(COLUMNS, &ingress(spec, status), "2026-01-01T00:05:00Z"), want);
        }
    }

    #[test]
    fn the_generation_counts_specs() {
        let mut new = json!({"metadata": {}, "spec": {"a": 1}, "status": {"x": 1}});
        Ingress.prepare_for_create(&mut new, &Context::default());
        assert_eq!(new["metadata"]["generation"], 1);
        assert_eq!(new["status"], json!({"loadBalancer": {}}));
        let old = new.clone();
        new["spec"]["a"] = json!(2);
        new["status"] = json!({"loadBalancer": {"ingress": []}});
        let mut by_status = new.clone();
        Ingress.prepare_for_update(&mut new, &old, &Context::default());
        assert_eq!((&new["metadata"]["generation"], &new["status"]), (&json!(2), &old["status"]));
        let status = Context { subresource: Some("status"), ..Context::default() };
        Ingress.prepare_for_update(&mut by_status, &old, &status);
        assert_eq!(by_status["spec"], old["spec"]);
        assert_eq!(by_status["status"], json!({"loadBalancer": {"ingress": []}}));
    }

    #[test]
    fn warnings_read_as_upstream_words_them() {
        let create = json!({"metadata": {"annotations": {CLASS_ANNOTATION: "nginx"}}});
        let want = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead";
        assert_eq!(Ingress.warnings(&create, None, &Context::default()), [want]);
        assert!(Ingress.warnings(&create, Some(&create), &Context::default()).is_empty());
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "FD00::1"}, {"hostname": "a"}]}}});
        let want = "status.loadBalancer.ingress[0]: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")";
        let context = Context { subresource: Some("status"), ..Context::default() };
        assert_eq!(Ingress.warnings(&status, Some(&status), &context), [want]);
    }
}
