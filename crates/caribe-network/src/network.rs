//! The connection to the kernel.

use rtnetlink::{MulticastGroup, new_multicast_connection};

use crate::{Changes, NetworkError};

/// A connection to the network of the namespace it was opened in. Cheap to clone; all clones
/// share one netlink socket.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) handle: rtnetlink::Handle,
}

impl Network {
    /// Opens a netlink connection for the network namespace of the *calling thread*, and tells
    /// of every change in it from now on.
    ///
    /// The socket stays in that namespace wherever its task runs. To be called inside a tokio
    /// runtime; the connection's task ends when every clone is gone.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Connect`] when no netlink socket can be opened.
    pub fn connect() -> Result<(Network, Changes), NetworkError> {
        let (connection, handle, messages) = new_multicast_connection(&[
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
        tokio::spawn(connection);
        Ok((Network { handle }, Changes::new(messages)))
    }
}
