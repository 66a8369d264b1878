//! The runtime and image service contract between kubelet and runtime: CRI v1, package `runtime.v1`.
//!
//! The wire form is that of every CRI runtime, so that the kubelet can drive containerd and `crictl` can drive
//! our runtime. Messages are re-exported here; clients and server traits are in [`client`] and [`server`].
//! This crate decides nothing: it has no rules about sandboxes or containers.

mod connect;

pub use connect::{ConnectError, MAX_MESSAGE_BYTES, connect};
pub use v1::*;

/// Messages and enums of the package `runtime.v1`.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("runtime.v1");
}

/// Clients of the two services over a [`tonic::transport::Channel`].
pub mod client {
    pub use crate::v1::image_service_client::ImageServiceClient;
    pub use crate::v1::runtime_service_client::RuntimeServiceClient;
}

/// Traits that a runtime implements, and the servers that put them on the wire.
pub mod server {
    pub use crate::v1::image_service_server::{ImageService, ImageServiceServer};
    pub use crate::v1::runtime_service_server::{RuntimeService, RuntimeServiceServer};
}

/// The API version that `Version` reports and expects.
pub const API_VERSION: &str = "v1";

impl std::fmt::Debug for AuthConfig {
    /// Shows who and where, never a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

impl Signal {
    /// The Linux signal number (x86-64 and arm64), or `None` for "whatever the runtime takes by default".
    pub fn number(self) -> Option<i32> {
        use Signal as S;
        Some(match self {
            S::RuntimeDefault => return None,
            S::Sighup => 1,
            S::Sigint => 2,
            S::Sigquit => 3,
            S::Sigill => 4,
            S::Sigtrap => 5,
            S::Sigabrt | S::Sigiot => 6,
            S::Sigbus => 7,
            S::Sigfpe => 8,
            S::Sigkill => 9,
            S::Sigusr1 => 10,
            S::Sigsegv => 11,
            S::Sigusr2 => 12,
            S::Sigpipe => 13,
            S::Sigalrm => 14,
            S::Sigterm => 15,
            S::Sigstkflt => 16,
            S::Sigchld | S::Sigcld => 17,
            S::Sigcont => 18,
            S::Sigstop => 19,
            S::Sigtstp => 20,
            S::Sigttin => 21,
            S::Sigttou => 22,
            S::Sigurg => 23,
            S::Sigxcpu => 24,
            S::Sigxfsz => 25,
            S::Sigvtalrm => 26,
            S::Sigprof => 27,
            S::Sigwinch => 28,
            S::Sigio | S::Sigpoll => 29,
            S::Sigpwr => 30,
            S::Sigsys => 31,
            // SIGRTMIN is 34 to user space: glibc keeps 32 and 33. The enum runs from 35 (SIGRTMIN) on.
            real_time => real_time as i32 - S::Sigrtmin as i32 + 34,
        })
    }

    /// The signal of a Linux signal number; `None` when CRI has no name for it.
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=S_LAST).filter_map(|value| Self::try_from(value).ok()).find(|s| s.number() == Some(number))
    }
}

/// The last value of [`Signal`].
const S_LAST: i32 = Signal::Sigrtmax as i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_reach_debug_output() {
        let auth = AuthConfig { username: "u".into(), password: "s3cret".into(), ..Default::default() };
        let text = format!("{auth:?}");
        assert!(text.contains("\"u\"") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn signals_have_linux_numbers() {
        let cases = [
            (Signal::RuntimeDefault, None),
            (Signal::Sigterm, Some(15)),
            (Signal::Sigkill, Some(9)),
            (Signal::Sigrtmin, Some(34)),
            (Signal::Sigrtminplus15, Some(49)),
            (Signal::Sigrtmaxminus14, Some(50)),
            (Signal::Sigrtmax, Some(64)),
        ];
        for (signal, number) in cases {
            assert_eq!(signal.number(), number, "{signal:?}");
        }
        assert_eq!(Signal::from_number(15), Some(Signal::Sigterm));
        assert_eq!(Signal::from_number(64), Some(Signal::Sigrtmax));
        assert_eq!(Signal::from_number(200), None);
    }

    /// Field numbers that tools on the other side rely on, spelled as bytes.
    #[test]
    fn wire_form_is_that_of_cri_v1() {
        use prost::Message;
        let security = LinuxContainerSecurityContext {
            supplemental_groups_policy: SupplementalGroupsPolicy::Strict as i32,
            run_as_group: Some(Int64Value { value: 7 }),
            ..Default::default()
        };
        // run_as_group = 12 (tag 0x62), supplemental_groups_policy = 17 (tag 0x88 0x01).
        assert_eq!(security.encode_to_vec(), [0x62, 2, 0x08, 7, 0x88, 0x01, 1]);
        let image = ImageSpec { user_specified_image: "a".into(), ..Default::default() };
        // user_specified_image = 18 (tag 0x92 0x01).
        assert_eq!(image.encode_to_vec(), [0x92, 0x01, 1, b'a']);
    }
}
