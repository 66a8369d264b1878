//! A pod's priority is its class's; nobody sets the number.

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::{forbidden, is_pod};
use crate::request::{Admission, AdmissionRequest, ObjectReader, Operation};
use crate::view::text;

const PREEMPT: &str = "PreemptLowerPriority";

/// See the module.
pub struct Priority {
    objects: Arc<dyn ObjectReader>,
}

/// What a class gives its pods.
struct Class {
    name: String,
    value: i64,
    preemption: String,
}

impl Class {
    fn read(object: &Tree) -> Self {
        let preemption = text(object, "/preemptionPolicy");
        Self {
            name: text(object, "/metadata/name").to_owned(),
            value: object.get("value").and_then(Tree::as_i64).unwrap_or_default(),
            preemption: if preemption.is_empty() { PREEMPT } else { preemption }.to_owned(),
        }
    }

    /// What pods get where no class is the default.
    fn none() -> Self {
        Self { name: String::new(), value: 0, preemption: PREEMPT.to_owned() }
    }
}

impl Priority {
    /// Looks classes up in `objects`.
    pub fn new(objects: Arc<dyn ObjectReader>) -> Self {
        Self { objects }
    }

    async fn class(&self, name: &str) -> Option<Class> {
        if name.is_empty() {
            return Some(self.default_class().await);
        }
        let found = self.objects.get("scheduling.k8s.io", "priorityclasses", "", name).await;
        found.map(|object| Class::read(&object))
    }

    /// Of several defaults the lowest, as upstream has it.
    async fn default_class(&self) -> Class {
        let all = self.objects.list("scheduling.k8s.io", "priorityclasses", "").await;
        let is_default = |class: &&Arc<Tree>| class.get("globalDefault") == Some(&Tree::Bool(true));
        let defaults = all.iter().filter(is_default).map(|class| Class::read(class));
        defaults.min_by_key(|class| class.value).unwrap_or_else(Class::none)
    }

    async fn create(&self, request: &mut AdmissionRequest<'_>) -> Result<(), ApiError> {
        let Some(pod) = request.object.as_deref() else { return Ok(()) };
        let asked = text(pod, "/spec/priorityClassName");
        let Some(class) = self.class(asked).await else {
            return Err(forbidden(request, &format!("no PriorityClass with name {asked} was found")));
        };
        if let Some(problem) = contradiction(pod, &class) {
            return Err(forbidden(request, &problem));
        }
        if let Some(pod) = request.object.as_deref_mut() {
            let spec = &mut pod["spec"];
            if !class.name.is_empty() {
                spec["priorityClassName"] = class.name.into();
            }
            spec["priority"] = class.value.into();
            spec["preemptionPolicy"] = class.preemption.into();
        }
        Ok(())
    }
}

fn contradiction(pod: &Tree, class: &Class) -> Option<String> {
    let given = pod.pointer("/spec/priority").and_then(Tree::as_i64);
    if let Some(given) = given.filter(|given| *given != class.value) {
        return Some(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {} from the given PriorityClass name",
            class.value
        ));
    }
    let given = text(pod, "/spec/preemptionPolicy");
    (!given.is_empty() && given != class.preemption).then(|| {
        format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {} from the given PriorityClass name",
            class.preemption
        )
    })
}

/// An update that leaves the computed fields out keeps them.
fn keep(pod: &mut Tree, old: &Tree) {
    for field in ["priority", "preemptionPolicy"] {
        let value = &old["spec"][field];
        if pod["spec"][field].is_null() && !value.is_null() {
            pod["spec"][field] = value.clone();
        }
    }
}

impl Admission for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            match request.operation {
                _ if !is_pod(request) => Ok(()),
                Operation::Create => self.create(request).await,
                Operation::Update => {
                    if let (Some(pod), Some(old)) = (request.object.as_deref_mut(), request.old) {
                        keep(pod, old);
                    }
                    Ok(())
                }
                Operation::Delete | Operation::Connect => Ok(()),
            }
        })
    }
}
