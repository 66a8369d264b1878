//! `/healthz`, `/livez` and `/readyz`, as a whole and check by check: what was found becomes an answer.

use std::fmt::Write;

/// One check's name and what it found.
pub type Finding = (&'static str, Result<(), String>);

/// What a caller wants to know.
#[derive(Clone, Debug, Default)]
pub struct Question<'a> {
    /// `healthz`, `livez` or `readyz`.
    pub kind: &'a str,
    /// One check alone.
    pub check: Option<&'a str>,
    /// Checks that do not count.
    pub excluded: &'a [String],
    /// Whether to list the checks of a success too.
    pub verbose: bool,
}

/// The HTTP status code and the text that answer `question`.
pub fn answer(question: &Question<'_>, mut findings: Vec<Finding>) -> (u16, String) {
    if let Some(check) = question.check {
        return match findings.into_iter().find(|(name, _)| *name == check) {
            None => (404, "404 page not found\n".to_owned()),
            Some((_, Ok(()))) => (200, "ok".to_owned()),
            Some((_, Err(why))) => (500, format!("internal server error: {why}\n")),
        };
    }
    let kind = question.kind;
    findings.retain(|(name, _)| !question.excluded.iter().any(|excluded| excluded == name));
    match (findings.iter().any(|(_, found)| found.is_err()), question.verbose) {
        (false, false) => (200, "ok".to_owned()),
        (false, true) => (200, format!("{}{kind} check passed\n", report(&findings))),
        (true, _) => (500, format!("{}{kind} check failed\n", report(&findings))),
    }
}

fn report(findings: &[Finding]) -> String {
    let mut out = String::new();
    for (name, found) in findings {
        // Reasons are for the log: these paths are open to everybody.
        let written = match found {
            Ok(()) => writeln!(out, "[+]{name} ok"),
            Err(_) => writeln!(out, "[-]{name} failed: reason withheld"),
        };
        written.expect("a String takes every text");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_upstreams() {
        let well: Vec<Finding> = vec![("ping", Ok(())), ("etcd", Ok(()))];
        let ill: Vec<Finding> = vec![("ping", Ok(())), ("etcd", Err("gone".to_owned()))];
        let whole = Question { kind: "readyz", ..Question::default() };
        let verbose = Question { verbose: true, ..whole.clone() };
        let excluded = ["etcd".to_owned()];
        let excluding = Question { excluded: &excluded, ..whole.clone() };
        let one = |check| Question { check: Some(check), ..whole.clone() };
        let cases = [
            (&whole, &well, 200, "ok"),
            (&verbose, &well, 200, "[+]ping ok\n[+]etcd ok\nreadyz check passed\n"),
            (&whole, &ill, 500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"),
            (&excluding, &ill, 200, "ok"),
            (&one("ping"), &ill, 200, "ok"),
            (&one("etcd"), &ill, 500, "internal server error: gone\n"),
            (&one("none"), &ill, 404, "404 page not found\n"),
        ];
        for (question, findings, code, text) in cases {
            assert_eq!(answer(question, findings.clone()), (code, text.to_owned()), "{question:?}");
        }
    }
}
