//! Samples of the group `certificates.k8s.io`, all for one Ed25519 key.

use serde_json::{Value, json};

/// A request in PEM, and that in base64.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHUU1FUUNBUUF3RVRFUE1BMEdBMVVFQXd3R2MyRnRjR3hsTUNv\
d0JRWURLMlZ3QXlFQUJMdEQreURZVllWWgpYb0ZQS0o1K1d4V01RUy9QUHFiMm9tQTlad1dyRy9PZ0FEQUZCZ01yWlhBRFFRQjFZN2M3R1B5WDYxMUJMNGlB\
CnhJVjU0eUNGRVpOT29lN2J3OWQ1U3FGSGtGdURYbFAvUnlUN0xkVHRpeGNKSU5BSUtyK2ZBRUlFRFhqbnh2SWwKVDV3UAotLS0tLUVORCBDRVJUSUZJQ0FU\
RSBSRVFVRVNULS0tLS0K";

/// A request in DER, in base64.
const STUB: &str = "MIGQMEQCAQAwETEPMA0GA1UEAwwGc2FtcGxlMCowBQYDK2VwAyEABLtD+yDYVYVZXoFPKJ5+WxWMQS/PPqb2omA9ZwWrG/OgADAF\
BgMrZXADQQB1Y7c7GPyX611BL4iAxIV54yCFEZNOoe7bw9d5SqFHkFuDXlP/RyT7LdTtixcJINAIKr+fAEIEDXjnxvIlT5wP";

const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBODCB66ADAgECAhRCog+EUZ2hpXqE5YKG8UJlycMlgjAFBgMrZXAwETEPMA0G
A1UEAwwGc2FtcGxlMCAXDTI2MTEyMDE0MTQzMVoYDzIxMjYxMDI3MTQxNDMxWjAR
MQ8wDQYDVQQDDAZzYW1wbGUwKjAFBgMrZXADIQAEu0P7INhVhVlegU8onn5bFYxB
L88+pvaiYD1nBasb86NTMFEwHQYDVR0OBBYEFLJ4ZTzDL/07HLbW7a16QFpjtZZn
MB8GA1UdIwQYMBaAFLJ4ZTzDL/07HLbW7a16QFpjtZZnMA8GA1UdEwEB/wQFMAMB
Af8wBQYDK2VwA0EAVl9x61LtPEXBNAU6/jZUtZ2/hf4qboPNXTayUboOExgnI2DM
3BlzXYd222zKEIF88n+pSMHMbrWxDjy+oMzxDA==
-----END CERTIFICATE-----
";

/// The sample of a kind.
pub fn of(kind: &str) -> Value {
    match kind {
        "CertificateSigningRequest" => json!({
            "spec": {"request": REQUEST, "signerName": "example.com/signer", "expirationSeconds": 3600,
                "usages": ["client auth", "digital signature"]},
            "status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Fine"}]},
        }),
        "ClusterTrustBundle" => json!({"spec": {"trustBundle": AUTHORITY}}),
        "PodCertificateRequest" => json!({
            "spec": {"signerName": "example.com/signer", "podName": "p", "podUID": "1", "serviceAccountName": "sa",
                "serviceAccountUID": "2", "nodeName": "n1", "nodeUID": "3", "maxExpirationSeconds": 86400,
                "stubPKCS10Request": STUB, "unverifiedUserAnnotations": {"example.com/a": "b"}},
            "status": {"conditions": [{"type": "Issued", "status": "True", "reason": "Fine",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}], "certificateChain": AUTHORITY,
                "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-02T00:00:00Z",
                "beginRefreshAt": "2026-01-01T12:00:00Z"},
        }),
        _ => json!({}),
    }
}
