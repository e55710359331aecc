//! A short conversation with the kernel about the links, addresses and routes of a namespace.

use std::io;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{Handle, new_connection};

use crate::LabError;
use crate::namespace::Namespace;

/// Runs `work` with a netlink handle inside the namespace. `action` says, for errors, what is
/// tried on what.
pub(crate) fn converse<T: Send>(
    namespace: &Namespace,
    action: impl Into<String>,
    work: impl AsyncFnOnce(Handle) -> Result<T, rtnetlink::Error> + Send,
) -> Result<T, LabError> {
    let action = format!("{} in {}", action.into(), namespace.name());
    let refused = |source: io::Error| LabError::Io {
        action: action.clone(),
        source,
    };
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(refused)?;
        runtime.block_on(async {
            let (connection, handle, _) = new_connection().map_err(refused)?;
            let connection = tokio::spawn(connection);
            let result = work(handle).await;
            connection.abort();
            result.map_err(|source| LabError::Netlink {
                action: action.clone(),
                source,
            })
        })
    })?
}

/// The interface `name`.
pub(crate) async fn link(handle: &Handle, name: &str) -> Result<LinkMessage, rtnetlink::Error> {
    handle
        .link()
        .get()
        .match_name(name)
        .execute()
        .try_next()
        .await?
        .ok_or(rtnetlink::Error::RequestFailed)
}
