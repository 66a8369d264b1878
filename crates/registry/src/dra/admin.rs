//! Access to devices that others use: only namespaces that an administrator has marked may ask for it or get it.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::Context;
use crate::tree::Read;

const LABEL: &str = "resource.kubernetes.io/admin-access";

/// Refuses requests for such access; `spec` is a claim's.
pub(super) fn requests(found: &mut ErrorList, spec: &Tree, context: &Context) {
    let requests = spec.items("devices.requests");
    let asking = requests.iter().position(|request| request.flag("exactly.adminAccess"));
    let path = Path::new("spec").child("devices").child("requests");
    refuse(found, asking, &path, context);
}

/// Refuses such access that is newly given.
pub(super) fn results(found: &mut ErrorList, new: &Tree, old: &Tree, context: &Context) {
    let given = |claim: &Tree| {
        let results = claim.items("status.allocation.devices.results");
        results.iter().position(|result| result.flag("adminAccess"))
    };
    if given(old).is_none() {
        let path = Path::new("status").child("allocation").child("devices").child("results");
        refuse(found, given(new), &path, context);
    }
}

fn refuse(found: &mut ErrorList, first: Option<usize>, path: &Path, context: &Context) {
    let marked = context.namespace_labels.get(LABEL).is_some_and(|value| value == "true");
    if let Some(index) = first.filter(|_| !marked) {
        let why =
            format!("admin access to devices requires the `{LABEL}: true` label on the containing namespace");
        found.push(Error::forbidden(path.index(index).child("adminAccess"), why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn only_marked_namespaces_get_it() {
        let spec = json!({"devices": {"requests": [{"exactly": {}}, {"exactly": {"adminAccess": true}}]}});
        let claim = json!({"status": {"allocation": {"devices": {"results": [{"adminAccess": true}]}}}});
        let check = |context: &Context, old: &Tree| {
            let mut found = ErrorList::new();
            requests(&mut found, &spec, context);
            results(&mut found, &claim, old, context);
            texts(&found)
        };
        let why = "Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace";
        let want = [
            format!("spec.devices.requests[1].adminAccess: {why}"),
            format!("status.allocation.devices.results[0].adminAccess: {why}"),
        ];
        let mut context = Context::default();
        assert_eq!(check(&context, &json!({})), want);
        assert_eq!(check(&context, &claim), want[..1], "what was given stays");
        context.namespace_labels.insert(LABEL.to_owned(), "true".to_owned());
        assert_eq!(check(&context, &json!({})), Vec::<String>::new());
    }
}
