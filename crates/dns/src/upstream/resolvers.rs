//! The host's resolvers, from its `resolv.conf`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How old the list may be when it is used. It is read only when something is asked.
const FRESH: Duration = Duration::from_secs(5);
/// More resolvers than these are not asked.
const MOST: usize = 15;

/// Where other names are asked for.
pub(super) struct Resolvers {
    path: PathBuf,
    listen: SocketAddr,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    read: Option<Instant>,
    servers: Arc<[SocketAddr]>,
}

impl Resolvers {
    /// The resolvers that the file names, except ourselves at `listen`.
    pub fn new(path: PathBuf, listen: SocketAddr) -> Self {
        Self { path, listen, state: Mutex::default() }
    }

    /// The resolvers in the order of the file. If it cannot be read, those that it last had.
    pub async fn current(&self) -> Arc<[SocketAddr]> {
        let state = self.state.lock().clone();
        if state.read.is_some_and(|read| read.elapsed() < FRESH) {
            return state.servers;
        }
        let servers = match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => parse(&text, self.listen).into(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "could not read the list of resolvers");
                state.servers
            }
        };
        *self.state.lock() = State { read: Some(Instant::now()), servers: Arc::clone(&servers) };
        servers
    }
}

/// The `nameserver` lines: an address, or `[address]:port`.
fn parse(text: &str, listen: SocketAddr) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(server) = words.next().and_then(parse_server) else {
            continue;
        };
        if !is_ourselves(server, listen) && !servers.contains(&server) && servers.len() < MOST {
            servers.push(server);
        }
    }
    servers
}

fn parse_server(word: &str) -> Option<SocketAddr> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 53));
    }
    let (address, port) = word.strip_prefix('[')?.split_once("]:")?;
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

/// Whether a query to `server` would come to us.
fn is_ourselves(server: SocketAddr, listen: SocketAddr) -> bool {
    let same = server.ip() == listen.ip() || (listen.ip().is_unspecified() && server.ip().is_loopback());
    same && server.port() == listen.port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_without_ourselves() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 10.0.0.10\nnameserver\t192.0.2.1 # first\n\
                    nameserver 2001:db8::1\nnameserver nonsense\nnameserver [127.0.0.1]:5300\nnameserver 192.0.2.1\n";
        let listen = "10.0.0.10:53".parse().expect("valid");
        let servers: Vec<String> = parse(text, listen).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "127.0.0.1:5300"]);
        let everywhere = "0.0.0.0:53".parse().expect("valid");
        assert!(is_ourselves("127.0.0.1:53".parse().expect("valid"), everywhere));
        assert!(!is_ourselves("127.0.0.1:5300".parse().expect("valid"), everywhere));
    }
}
