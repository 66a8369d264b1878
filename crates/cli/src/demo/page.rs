//! What the demo says.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;

use tokio::io::AsyncReadExt;

/// The page, with blanks to fill in.
const PAGE: &str = include_str!("page.html");
/// What is read of the greeting at most, in bytes.
const MOST_GREETING: u64 = 64 * 1024;

/// What one replica knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DemoPage {
    /// Name of the pod.
    pub pod: String,
    /// Name of the node that runs it.
    pub node: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Address of the pod.
    pub pod_ip: String,
    /// A file that a ConfigMap provides. Read for each request, so that a change shows.
    pub greeting_file: PathBuf,
}

impl DemoPage {
    /// From the variables that the demo's Deployment sets: `POD_NAME`, `NODE_NAME`, `POD_NAMESPACE`, `POD_IP` and
    /// `GREETING_FILE`.
    pub fn from_env() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        Self {
            pod: variable("POD_NAME"),
            node: variable("NODE_NAME"),
            namespace: variable("POD_NAMESPACE"),
            pod_ip: variable("POD_IP"),
            greeting_file: variable("GREETING_FILE").into(),
        }
    }

    /// The greeting as the file has it now, or why there is none.
    pub(super) async fn greeting(&self) -> String {
        match self.read_greeting().await {
            Ok(text) => text.trim_end().to_owned(),
            Err(error) => format!("(no greeting: {}: {error})", self.greeting_file.display()),
        }
    }

    async fn read_greeting(&self) -> io::Result<String> {
        let file = tokio::fs::File::open(&self.greeting_file).await?;
        let mut text = Vec::new();
        file.take(MOST_GREETING).read_to_end(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The page.
    pub(super) fn html(&self, greeting: &str) -> String {
        let hue = self.hue().to_string();
        let blanks = [
            ("{{hue}}", hue.as_str()),
            ("{{pod}}", &self.pod),
            ("{{node}}", &self.node),
            ("{{namespace}}", &self.namespace),
            ("{{pod_ip}}", &self.pod_ip),
            ("{{greeting}}", greeting),
        ];
        fill(PAGE, &blanks)
    }

    /// One line: pod, node, greeting.
    pub(super) fn plain(&self, greeting: &str) -> String {
        let words = greeting.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {} {words}\n", self.pod, self.node)
    }

    /// A colour of its own for each pod, in degrees.
    fn hue(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.pod.hash(&mut hasher);
        hasher.finish() % 360
    }
}

/// Puts escaped values into the blanks, in one pass, so that a value is never taken for a blank.
fn fill(template: &str, blanks: &[(&str, &str)]) -> String {
    let (mut page, mut rest) = (String::with_capacity(template.len() + 512), template);
    while let Some(start) = rest.find("{{") {
        let (before, at) = rest.split_at(start);
        page.push_str(before);
        match blanks.iter().find(|(blank, _)| at.starts_with(blank)) {
            Some((blank, value)) => {
                push_escaped(&mut page, value);
                rest = &at[blank.len()..];
            }
            None => {
                page.push_str("{{");
                rest = &at[2..];
            }
        }
    }
    page.push_str(rest);
    page
}

fn push_escaped(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_never_taken_for_blanks() {
        let filled =
            fill("<p>{{pod}} {{x}} {{node}}</p>{{", &[("{{pod}}", "<&{{node}}\"'>"), ("{{node}}", "n")]);
        assert_eq!(filled, "<p>&lt;&amp;{{node}}&quot;&#39;&gt; {{x}} n</p>{{");
    }

    #[test]
    fn the_page_has_no_blank_left_and_needs_nothing_else() {
        let page = DemoPage { pod: "demo-1".into(), node: "n1".into(), ..DemoPage::default() };
        let html = page.html("Hello");
        assert!(!html.contains("{{"), "{html}");
        assert!(html.contains("demo-1") && html.contains("n1") && html.contains("Hello"));
        assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script"));
    }
}
