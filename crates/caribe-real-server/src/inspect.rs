//! Taking the picture of the live system.

use std::io;
use std::path::Path;

use caribe_network::{Network, NetworkError};

use crate::decapsulator;
use crate::error::RealServerError;
use crate::facts::Facts;
use crate::nfnetlink;
use crate::setting::{self, Settings};

/// Looks at everything that matters for a real server on `interface`, in the network namespace
/// of the calling thread.
///
/// # Errors
///
/// What could not be read. That there is no such interface is a fact, not an error.
pub async fn inspect(
    network: &Network,
    interface: &str,
    pins: &Path,
    director_pins: &Path,
) -> Result<Facts, RealServerError> {
    let found = match network.interface(interface).await {
        Ok(found) => Some(found),
        Err(NetworkError::NoInterface { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut facts = Facts {
        gateways: network.gateways().await?,
        director: is_director(director_pins)?.then(|| director_pins.to_owned()),
        decapsulator: decapsulator::examine(pins)?,
        arp_rules: nfnetlink::rules().map_err(|source| RealServerError::ArpRules {
            action: "read",
            source,
        })?,
        settings: match &found {
            Some(found) => settings(&found.name)?,
            None => Settings::new(),
        },
        interface: found,
        ..Facts::default()
    };
    for each in network.interfaces().await? {
        let addresses = match network.addresses(&each.name).await {
            Ok(addresses) => addresses,
            // It went away between the two questions.
            Err(NetworkError::NoInterface { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        facts.addresses.insert(each.name, addresses);
    }
    Ok(facts)
}

fn settings(interface: &str) -> Result<Settings, RealServerError> {
    setting::relevant(interface)
        .into_iter()
        .map(|setting| match setting.read() {
            Ok(value) => Ok((setting, value)),
            Err(source) => Err(RealServerError::Setting {
                action: "read",
                setting,
                source,
            }),
        })
        .collect()
}

/// A director pins its data plane in that directory; an empty one is what a clean stop leaves.
fn is_director(pins: &Path) -> Result<bool, RealServerError> {
    match std::fs::read_dir(pins) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(RealServerError::Decapsulator {
            action: format!("look for a director's data plane in {}", pins.display()),
            source: error.into(),
            hint: "; this needs root",
        }),
    }
}
