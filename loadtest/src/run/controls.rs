//! Clients of another make in the first room: full ones and browsers, let in and asked together.

use std::time::Duration;

use super::browsers::Browsers;
use super::{Options, RunError};
use crate::full::{ControlFigures, FullClients, FullOrder};
use crate::signalling::{Endpoint, Picture};
use crate::target::Entrance;

/// All control clients of a run.
pub(super) struct Controls {
    full: Option<FullClients>,
    browsers: Option<Browsers>,
}

/// Whom to let in.
pub(super) struct ControlOrder<'o> {
    pub(super) id: u32,
    pub(super) endpoint: &'o Endpoint,
    pub(super) entrance: Option<&'o Entrance>,
    pub(super) token: String,
    pub(super) picture: Picture,
}

impl Controls {
    /// Starts what is wanted; nobody joins yet.
    pub(super) fn start(options: &Options) -> Result<Self, RunError> {
        let full = (options.full > 0).then(FullClients::start).transpose()?;
        let browsers = (options.browsers > 0)
            .then(|| Browsers::start(&options.browser_script))
            .transpose()?;
        Ok(Self { full, browsers })
    }

    /// Lets in a client of the webrtc crate.
    pub(super) fn join_full(&mut self, order: ControlOrder<'_>) -> Result<(), RunError> {
        if let Some(full) = &mut self.full {
            full.join(FullOrder {
                id: order.id,
                endpoint: order.endpoint.clone(),
                entrance: order.entrance.cloned(),
                token: order.token,
                picture: order.picture,
            })?;
        }
        Ok(())
    }

    /// Lets in a browser.
    pub(super) fn join_browser(&mut self, order: &ControlOrder<'_>) -> Result<(), RunError> {
        if let Some(browsers) = &mut self.browsers {
            let size = (order.picture.width, order.picture.height);
            browsers.join(order.id, &order.endpoint.url(), &order.token, size)?;
        }
        Ok(())
    }

    /// Waits until all are in, and begins their figures. What it took is told in words.
    pub(super) fn begin(&mut self) -> Result<Vec<String>, RunError> {
        let mut news = Vec::new();
        if let Some(full) = &mut self.full {
            let joined = full.await_joined()?;
            news.extend(joined.iter().map(|(_, after)| said("full client", *after)));
            full.restart()?;
        }
        if let Some(browsers) = &mut self.browsers {
            for (_, after_ms) in browsers.await_joined()? {
                news.push(said(
                    "browser",
                    Duration::from_secs_f64(after_ms.max(0.0) / 1_000.0),
                ));
            }
            browsers.restart()?;
        }
        Ok(news)
    }

    /// What they got.
    pub(super) fn finish(&mut self) -> Result<Vec<ControlFigures>, RunError> {
        let mut all = Vec::new();
        if let Some(full) = &mut self.full {
            all.extend(full.finish()?);
        }
        if let Some(browsers) = &mut self.browsers {
            all.extend(browsers.finish()?);
        }
        Ok(all)
    }
}

fn said(who: &str, after: Duration) -> String {
    format!("a {who} was in after {} ms", after.as_millis())
}
