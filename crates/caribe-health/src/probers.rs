//! Checks made ready to probe, each once for all the servers that are checked alike.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;

use crate::path::{DataPath, Ways};
use crate::probe::rwho::RwhoListener;
use crate::probe::{Check, Code, Finding, Prober, Text};
use crate::{Clock, Settings};

/// Every check in use, ready or on its way to be.
#[derive(Debug)]
pub(crate) struct Probers {
    clock: Clock,
    ready: HashMap<Arc<Check>, Rc<OnceCell<Prober>>>,
    /// The one listener for rwhod's broadcasts, once somebody wants it.
    rwho: Option<RwhoListener>,
    /// The way through VIPs, once somebody wants it.
    path: Rc<OnceCell<DataPath>>,
    ways: watch::Receiver<Ways>,
}

impl Probers {
    pub(crate) fn new(clock: Clock, ways: watch::Receiver<Ways>) -> Self {
        Probers {
            clock,
            ready: HashMap::new(),
            rwho: None,
            path: Rc::default(),
            ways,
        }
    }

    /// Forgets what was read from files, so that changed certificates count.
    pub(crate) fn reread(&mut self) {
        self.ready.clear();
    }

    /// A probe by these settings, to be run on this thread.
    pub(crate) fn probe(
        &mut self,
        settings: Arc<Settings>,
    ) -> impl Future<Output = Finding> + use<> {
        let rwho = self.listener(&settings.check);
        let ready = self.ready.entry(Arc::clone(&settings.check));
        let cell = Rc::clone(ready.or_default());
        let through = settings.target.through.as_ref();
        let through = through.map(|_| (Rc::clone(&self.path), self.ways.clone()));
        let clock = self.clock;
        async move {
            let limit = settings.timing.limit;
            if let (Some(prober), None) = (cell.get(), &through) {
                return prober.probe(&settings.target, limit).await;
            }
            let prepare = || async {
                let prober = Prober::prepare(Check::clone(&settings.check));
                let prober = prober.await.map_err(|error| error.to_string())?;
                Ok::<_, String>(match rwho {
                    Some(listener) => prober.with_rwho(listener?),
                    None => prober,
                })
            };
            let preparing = Box::pin(cell.get_or_try_init(prepare));
            let prober = match timeout(limit, preparing).await {
                Ok(Ok(prober)) => prober,
                Ok(Err(reason)) => return blind(&reason),
                Err(_elapsed) => return blind("the files of the check could not be read in time"),
            };
            let Some((path, ways)) = through else {
                return prober.probe(&settings.target, limit).await;
            };
            let start = Box::pin(path.get_or_try_init(|| DataPath::start(clock, ways)));
            match timeout(limit, start).await {
                Ok(Ok(path)) => {
                    let probe = prober.probe_by(&settings.target, limit, Some(path));
                    Box::pin(probe).await
                }
                Ok(Err(error)) => blind(&error.to_string()),
                Err(_elapsed) => blind("the way through the VIP could not be made in time"),
            }
        }
    }

    /// The listener for rwhod's broadcasts, if the check is about them.
    fn listener(&mut self, check: &Check) -> Option<Result<RwhoListener, String>> {
        if !matches!(check, Check::Rwho(_)) {
            return None;
        }
        if self.rwho.is_none() {
            match RwhoListener::start(self.clock, None) {
                Ok(listener) => self.rwho = Some(listener),
                Err(error) => {
                    return Some(Err(format!(
                        "cannot listen for rwhod's broadcasts on UDP port 513: {error}"
                    )));
                }
            }
        }
        self.rwho.clone().map(Ok)
    }
}

/// The director is in its own way.
fn blind(reason: &str) -> Finding {
    Finding {
        code: Code::Local,
        text: Text::new(reason),
        latency: Duration::ZERO,
        reading: None,
    }
}
