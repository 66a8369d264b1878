//! How objects become those of another version.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1035_label_problems;

use crate::certificates::holds_certificate;
use crate::checks::{Seen, invalid, required_word};
use crate::tree::Read;
use crate::webhook;

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// What is checked though definitions of before the check may lack it.
#[derive(Clone, Copy)]
pub(super) struct Demands {
    /// One of the versions of reviews is known.
    pub(super) known_review: bool,
    /// The CA bundle holds a certificate.
    pub(super) ca_bundle: bool,
}

impl Demands {
    /// For a new definition: its CA bundle may still be filled in by somebody.
    pub(super) const NEW: Self = Self { known_review: true, ca_bundle: false };

    /// For a change of `old`.
    pub(super) fn of(old: &Tree, established: bool) -> Self {
        let webhook = old.at("spec.conversion.webhook");
        let versions = webhook.texts("conversionReviewVersions");
        let bundle = webhook.at("clientConfig");
        Self {
            known_review: versions.is_empty() || versions.iter().any(|v| REVIEW_VERSIONS.contains(v)),
            ca_bundle: established && (bundle.text("caBundle").is_empty() || ca_problem(bundle).is_none()),
        }
    }
}

fn ca_problem(config: &Tree) -> Option<&'static str> {
    let bundle = STANDARD.decode(config.text("caBundle")).unwrap_or_default();
    let why = "unable to load root certificates: unable to parse bytes as PEM block";
    (!bundle.is_empty() && !holds_certificate(&bundle)).then_some(why)
}

/// Checks a conversion.
pub(super) fn conversion(found: &mut ErrorList, conversion: &Tree, path: &Path, demands: Demands) {
    if conversion.is_null() {
        return;
    }
    let (strategy, webhook) = (conversion.text("strategy"), conversion.at("webhook"));
    required_word(found, path.child("strategy"), strategy, &["None", "Webhook"]);
    // Upstream's own form has both fields of the webhook here.
    let (config, at) = (webhook.at("clientConfig"), path.child("webhookClientConfig"));
    let versions_at = path.child("conversionReviewVersions");
    if strategy != "Webhook" {
        let given =
            [(!config.is_null(), at), (!webhook.items("conversionReviewVersions").is_empty(), versions_at)];
        for (_, at) in given.into_iter().filter(|(given, _)| *given) {
            found.push(Error::forbidden(at, "should not be set when strategy is not set to Webhook"));
        }
        return;
    }
    if config.is_null() {
        found.push(Error::required(at, "required when strategy is set to Webhook"));
    } else {
        webhook::client_config(found, config, &at);
        if let Some(why) = ca_problem(config).filter(|_| demands.ca_bundle) {
            found.push(Error::invalid(at.child("caBundle"), config.text("caBundle"), why));
        }
    }
    review_versions(found, webhook, &versions_at, demands);
}

fn review_versions(found: &mut ErrorList, webhook: &Tree, path: &Path, demands: Demands) {
    let versions = webhook.texts("conversionReviewVersions");
    if versions.is_empty() {
        found.push(Error::required(path.clone(), ""));
        return;
    }
    let mut seen = Seen::default();
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        if seen.first(*version) {
            invalid(found, &path, version, dns1035_label_problems(version, false));
        } else {
            found.push(Error::invalid(path, *version, "duplicate version"));
        }
    }
    if demands.known_review && !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let why = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        found.push(Error::invalid(path.clone(), webhook.at("conversionReviewVersions").clone(), why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    fn check(tree: &Tree, demands: Demands) -> Vec<String> {
        let mut found = ErrorList::new();
        conversion(&mut found, tree, &Path::new("c"), demands);
        texts(&found)
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let config = json!({"url": "https://a", "caBundle": STANDARD.encode("x")});
        let webhook = |webhook: Tree| json!({"strategy": "Webhook", "webhook": webhook});
        let cases: Vec<(Tree, Vec<&str>)> = vec![
            (json!(null), vec![]),
            (json!({"strategy": "None"}), vec![]),
            (webhook(json!({"clientConfig": config, "conversionReviewVersions": ["v1"]})), vec![]),
            (json!({}), vec!["c.strategy: Required value"]),
            (
                json!({"strategy": "Magic"}),
                vec!["c.strategy: Unsupported value: \"Magic\": supported values: \"None\", \"Webhook\""],
            ),
            (
                json!({"strategy": "None", "webhook": {"clientConfig": {}, "conversionReviewVersions": ["v1"]}}),
                vec![
                    "c.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
                    "c.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
                ],
            ),
            (
                webhook(json!(null)),
                vec![
                    "c.webhookClientConfig: Required value: required when strategy is set to Webhook",
                    "c.conversionReviewVersions: Required value",
                ],
            ),
            (
                webhook(json!({"clientConfig": {}, "conversionReviewVersions": ["v2", "v2"]})),
                vec![
                    "c.webhookClientConfig: Required value: exactly one of url or service is required",
                    "c.conversionReviewVersions[1]: Invalid value: \"v2\": duplicate version",
                    "c.conversionReviewVersions: Invalid value: [\"v2\",\"v2\"]: must include at least one of v1, v1beta1",
                ],
            ),
        ];
        for (tree, want) in cases {
            assert_eq!(check(&tree, Demands::NEW), want, "{tree}");
        }
        let strict = Demands { known_review: false, ca_bundle: true };
        let got =
            check(&webhook(json!({"clientConfig": config, "conversionReviewVersions": ["v2"]})), strict);
        let want = "c.webhookClientConfig.caBundle: Invalid value: \"eA==\": unable to load root certificates: unable to parse bytes as PEM block";
        assert_eq!(got, [want]);
    }

    #[test]
    fn old_definitions_keep_what_they_lack() {
        let old = |webhook: Tree| json!({"spec": {"conversion": {"webhook": webhook}}});
        let bad = old(
            json!({"conversionReviewVersions": ["v2"], "clientConfig": {"caBundle": STANDARD.encode("x")}}),
        );
        let demands = Demands::of(&bad, true);
        assert!(!demands.known_review && !demands.ca_bundle);
        let good = Demands::of(&old(json!({})), true);
        assert!(good.known_review && good.ca_bundle);
        assert!(!Demands::of(&old(json!({})), false).ca_bundle);
    }
}
