//! Who is on the other end of the control socket, as the kernel tells it.

use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio::net::unix::UCred;

/// How long the look-up of a name may take: it may ask a directory over the network.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process that connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    uid: u32,
}

impl Peer {
    pub(super) fn new(credentials: UCred) -> Self {
        Peer {
            uid: credentials.uid(),
        }
    }

    /// The user, e.g. `root (uid 0)`; without the name if it cannot be had in time.
    pub(super) async fn name(self) -> String {
        let uid = self.uid;
        let look_up = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)));
        match tokio::time::timeout(PATIENCE, look_up).await {
            Ok(Ok(Ok(Some(user)))) => format!("{} (uid {uid})", user.name),
            _ => format!("uid {uid}"),
        }
    }
}
