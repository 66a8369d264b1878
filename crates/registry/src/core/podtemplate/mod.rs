//! Pod templates that stand by themselves.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::core::podspec::defaults::template_of;
use crate::core::podspec::validation::template;
use crate::core::podspec::warnings;
use crate::print;
use crate::resource::Resource;
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::Read;
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "PodTemplate",
    plural: "podtemplates",
    singular: "podtemplate",
    definition: "io.k8s.api.core.v1.PodTemplate",
    storage: "podtemplates",
    strategy: &PodTemplate,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Containers", 0, "Names of the template's containers.", |object, _| {
        print::containers_of(object, "template", "name")
    }),
    print::text("Images", 0, "Images of the template's containers.", |object, _| {
        print::containers_of(object, "template", "image")
    }),
    print::text("Pod Labels", 0, "Labels of the pods made of it.", |object, _| {
        print::labels(object, "template.metadata.labels").into()
    }),
];

struct PodTemplate;

impl Strategy for PodTemplate {
    fn apply_defaults(&self, tree: &mut Tree) {
        template_of(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "template");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        template(&mut found, tree.at("template"), &Path::new("template"));
        found
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, context: &Context) -> ErrorList {
        self.validate(new, context)
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        warnings::of_changed(new, old, context, |new| warnings::template(new, "template"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    #[test]
    fn templates_print_as_upstream() {
        let object = json!({"metadata": {"name": "t"}, "template": {"metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}});
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:00Z"), "t|a,b|x,y|app=a");
    }

    #[test]
    fn the_template_is_checked_and_counted() {
        let context = Context::default();
        let mut stored = json!({"template": {"spec": {"containers": [{"name": "a", "image": "x"}]}}});
        PodTemplate.apply_defaults(&mut stored);
        PodTemplate.prepare_for_create(&mut stored, &context);
        assert_eq!(texts(&PodTemplate.validate(&stored, &context)), Vec::<String>::new());
        let mut new = stored.clone();
        new["template"]["spec"]["containers"][0]["image"] = json!("");
        PodTemplate.prepare_for_update(&mut new, &stored, &context);
        assert_eq!(new["metadata"]["generation"], 2);
        let want = ["template.spec.containers[0].image: Required value"];
        assert_eq!(texts(&PodTemplate.validate_update(&new, &stored, &context)), want);
    }
}
