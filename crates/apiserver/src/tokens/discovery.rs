//! What others need to check the cluster's tokens themselves (OpenID Connect Discovery 1.0, RFC 7517).

use serde::Serialize;
use steersman_pki::VerificationKey;

use super::TokenIssuer;

/// `/.well-known/openid-configuration`, served as `application/json`.
#[derive(Serialize)]
struct Configuration<'a> {
    issuer: &'a str,
    jwks_uri: &'a str,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
}

/// `/openid/v1/jwks`, served as `application/jwk-set+json`.
#[derive(Serialize)]
struct KeySet<'a> {
    keys: Vec<Key<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    #[serde(rename = "use")]
    usage: &'static str,
    kty: &'static str,
    kid: &'a str,
    alg: &'static str,
    n: String,
    e: String,
}

impl TokenIssuer {
    /// The discovery document. `jwks_uri` is where [`Self::key_set`] is served.
    pub fn configuration(&self, jwks_uri: &str) -> String {
        encode(&Configuration {
            issuer: self.issuer(),
            jwks_uri,
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: ["RS256"],
        })
    }

    /// The keys whose signatures are good.
    pub fn key_set(&self) -> String {
        encode(&KeySet { keys: self.keys().map(key).collect() })
    }
}

fn key(key: &VerificationKey) -> Key<'_> {
    Key { usage: "sig", kty: "RSA", kid: key.id(), alg: "RS256", n: key.modulus(), e: key.exponent() }
}

fn encode(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("plain structs of strings")
}
