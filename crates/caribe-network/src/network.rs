//! The connection to the kernel.

use rtnetlink::{MulticastGroup, new_connection, new_multicast_connection};

use crate::{Changes, NetworkError};

/// A connection to the network of the namespace it was opened in. Cheap to clone; all clones
/// share one netlink socket for their requests. Changes come by a socket of their own, so that a
/// storm of them cannot push an answer out of the buffer.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) handle: rtnetlink::Handle,
}

impl Network {
    /// Opens netlink connections for the network namespace of the *calling thread*, and tells
    /// of every change in it from now on.
    ///
    /// The sockets stay in that namespace wherever their tasks run. To be called inside a tokio
    /// runtime. The task of requests ends when every clone is gone, that of changes when they
    /// are dropped.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Connect`] when no netlink socket can be opened.
    pub fn connect() -> Result<(Network, Changes), NetworkError> {
        let (requests, handle, _) = new_connection().map_err(NetworkError::Connect)?;
        let (changes, listener, messages) = new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ])
        .map_err(NetworkError::Connect)?;
        tokio::spawn(requests);
        tokio::spawn(changes);
        Ok((Network { handle }, Changes::new(messages, listener)))
    }
}
