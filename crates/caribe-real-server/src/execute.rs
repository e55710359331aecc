//! `up` and `down`: taking the steps of a plan, and the ways back.

use std::path::PathBuf;

use caribe_network::{AddressOutcome, Network};

use crate::decapsulator::{self, Mode};
use crate::error::RealServerError;
use crate::inspect::inspect;
use crate::nfnetlink;
use crate::plan::{Action, Undo, floating, plan};
use crate::refusal::Refusal;
use crate::request::{Method, Request};
use crate::state::{self, State, StateFile};

/// Where the command keeps its things.
#[derive(Debug, Clone)]
pub struct Places {
    /// The state file.
    pub state: PathBuf,
    /// The directory on a BPF file system for the decapsulating program.
    pub pins: PathBuf,
    /// The directory where a director on this machine would pin its data plane.
    pub director_pins: PathBuf,
}

/// Makes this machine a real server; tells, line by line, what was done. Nothing to do is no
/// error.
///
/// # Errors
///
/// [`RealServerError::Refused`] before anything is changed. When a step fails, those before it
/// are undone.
pub async fn up(
    network: &Network,
    request: &Request,
    places: &Places,
) -> Result<Vec<String>, RealServerError> {
    let file = StateFile::lock(&places.state)?;
    let former = state::read(&places.state)?;
    if let Some(former) = &former {
        agrees(former, request)?;
    }
    let mut state = former
        .clone()
        .unwrap_or_else(|| State::new(request, &places.pins));
    let facts = inspect(
        network,
        &request.interface,
        &state.pins,
        &places.director_pins,
    )
    .await?;
    let actions = plan(request, &facts).map_err(RealServerError::Refused)?;
    for (vip, method) in &request.vips {
        // A VIP that tunnelled packets come for takes direct ones as well.
        let known = state.vips.entry(*vip).or_insert(*method);
        if *method == Method::Tunnel {
            *known = Method::Tunnel;
        }
    }

    let mut done = Vec::new();
    for action in &actions {
        // Written ahead: a way back too many does no harm, one too few does.
        state.undo.push(action.undo());
        let taken = match file.save(&state) {
            Ok(()) => take(network, action, &state).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(line) => done.push(line),
            Err(failure) => {
                let undone = give_up(network, state, former.as_ref(), &file).await;
                return Err(match undone {
                    Ok(()) => failure,
                    Err(undoing) => RealServerError::HalfDone {
                        failure: Box::new(failure),
                        undoing: Box::new(undoing),
                    },
                });
            }
        }
    }
    // Also without a step, so that `status` knows what to look for.
    file.save(&state)?;
    Ok(done)
}

/// Goes back to where `up` began.
async fn give_up(
    network: &Network,
    mut state: State,
    former: Option<&State>,
    file: &StateFile,
) -> Result<(), RealServerError> {
    let remaining = former.map_or(0, |former| former.undo.len());
    back(network, &mut state, file, remaining).await?;
    match former {
        Some(former) => file.save(former),
        None => file.remove(),
    }
}

/// Undoes exactly what `up` did; tells, line by line, what was undone. Nothing to undo is no
/// error.
///
/// # Errors
///
/// What could not be undone; the state file keeps it, so that `down` can be repeated.
pub async fn down(network: &Network, places: &Places) -> Result<Vec<String>, RealServerError> {
    let file = StateFile::lock(&places.state)?;
    match state::read(&places.state)? {
        Some(mut state) => {
            let undone = back(network, &mut state, &file, 0).await?;
            file.remove()?;
            Ok(undone)
        }
        None => Ok(Vec::new()),
    }
}

fn agrees(state: &State, request: &Request) -> Result<(), RealServerError> {
    let same = state.interface == request.interface && state.arp == request.arp;
    if same {
        return Ok(());
    }
    let how = format!("on `{}` with --arp {}", state.interface, state.arp);
    Err(RealServerError::Refused(vec![Refusal::Otherwise { how }]))
}

/// Goes back until `remaining` ways back are left.
async fn back(
    network: &Network,
    state: &mut State,
    file: &StateFile,
    remaining: usize,
) -> Result<Vec<String>, RealServerError> {
    let mut lines = Vec::new();
    while state.undo.len() > remaining {
        let Some(undo) = state.undo.last().cloned() else {
            break;
        };
        lines.push(go_back(network, &undo, state).await?);
        state.undo.pop();
        file.save(state)?;
    }
    Ok(lines)
}

async fn take(
    network: &Network,
    action: &Action,
    state: &State,
) -> Result<String, RealServerError> {
    Ok(match action {
        Action::Set { setting, from, to } => {
            setting
                .write(*to)
                .map_err(|source| RealServerError::Setting {
                    action: "set",
                    setting: setting.clone(),
                    source,
                })?;
            format!("set {setting} to {to} (it was {from})")
        }
        Action::ArpRules { rules, .. } => {
            nfnetlink::replace(rules).map_err(|source| RealServerError::ArpRules {
                action: "write",
                source,
            })?;
            let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
            format!(
                "nftables table `arp {}` now holds: {}",
                nfnetlink::TABLE,
                rules.join("; ")
            )
        }
        Action::Attach { interface } => match decapsulator::attach(&state.pins, interface)? {
            Mode::Native => format!("attached the decapsulating program to {interface}, native"),
            Mode::Generic { reason } => format!(
                "attached the decapsulating program to {interface} in generic mode, which is \
                 slower; the driver refused it: {reason}"
            ),
        },
        Action::Decapsulate { vip } => {
            decapsulator::add(&state.pins, *vip)?;
            format!("tunnelled packets for {vip} are unwrapped")
        }
        Action::AddAddress { interface, vip } => {
            let spec = floating(interface, *vip);
            match network.add_address(&spec).await? {
                AddressOutcome::Added => format!("put {vip}/{} on {interface}", spec.prefix),
                AddressOutcome::AlreadyThere => {
                    format!("{vip}/{} is on {interface} already", spec.prefix)
                }
            }
        }
    })
}

async fn go_back(network: &Network, undo: &Undo, state: &State) -> Result<String, RealServerError> {
    Ok(match undo {
        Undo::Restore {
            setting,
            former,
            given,
        } => {
            let failed = |action, source| RealServerError::Setting {
                action,
                setting: setting.clone(),
                source,
            };
            match setting.read() {
                Ok(now) if now == *given => {
                    setting
                        .write(*former)
                        .map_err(|source| failed("set", source))?;
                    format!("set {setting} back to {former}")
                }
                Ok(now) => format!("left {setting} at {now}: somebody changed it since"),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    format!("{setting} is gone with its interface")
                }
                Err(source) => return Err(failed("read", source)),
            }
        }
        Undo::ArpRules { before } => {
            let undone = match before {
                Some(rules) => nfnetlink::replace(rules),
                None => nfnetlink::remove(),
            };
            undone.map_err(|source| RealServerError::ArpRules {
                action: "undo",
                source,
            })?;
            let verb = if before.is_some() {
                "restored"
            } else {
                "removed"
            };
            format!("{verb} the nftables table `arp {}`", nfnetlink::TABLE)
        }
        Undo::Detach => {
            decapsulator::detach(&state.pins)?;
            format!("took the decapsulating program off {}", state.interface)
        }
        Undo::Forget { vip } => {
            decapsulator::forget(&state.pins, *vip)?;
            format!("tunnelled packets for {vip} are left alone")
        }
        Undo::RemoveAddress { interface, vip } => {
            let spec = floating(interface, *vip);
            match network.remove_address(&spec).await {
                Ok(true) => format!("took {vip}/{} off {interface}", spec.prefix),
                Ok(false) | Err(caribe_network::NetworkError::NoInterface { .. }) => {
                    format!("{vip}/{} was no longer on {interface}", spec.prefix)
                }
                Err(error) => return Err(error.into()),
            }
        }
    })
}
