//! Probing by connecting.

use std::time::Duration;

use tokio::net::TcpStream;

use super::check::{Answer, dial_error, host_port};

/// Success when a connection stands within `timeout`.
pub async fn ask(host: &str, port: u16, timeout: Duration) -> Answer {
    let address = host_port(host, port);
    match tokio::time::timeout(timeout, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Answer::Success,
        Ok(Err(error)) => Answer::Failure(dial_error(&address, &error)),
        Err(_) => Answer::Failure(format!("dial tcp {address}: i/o timeout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_listener_is_healthy_and_nothing_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let second = Duration::from_secs(1);
        assert_eq!(ask("127.0.0.1", port, second).await, Answer::Success);
        drop(listener);
        let want = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
        assert_eq!(ask("127.0.0.1", port, second).await, Answer::Failure(want));
    }
}
