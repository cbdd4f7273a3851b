//! Where clients come to: which service a connection is for.

use std::rc::Rc;

use super::service::Service;
use super::session::Session;

/// Where clients' requests and connections go on to, on one worker.
///
/// What `--to` names is one [`Service`], and everybody's. A mesh has many, and tells them apart by where a
/// client connected to.
pub trait Targets {
    /// The service that a client comes to, for as long as its connection lasts; `None` ends that.
    ///
    /// It is chosen once, since policies allow a request for one of the backends of one service: nothing
    /// that was allowed there is ever sent to another one.
    fn of(&self, session: &Session) -> Option<Rc<Service>>;

    /// Every service, for what is done without a client: health checks, and the end of connections that
    /// nobody uses any more.
    fn all(&self) -> Vec<Rc<Service>>;
}

impl Targets for Rc<Service> {
    fn of(&self, _: &Session) -> Option<Rc<Service>> {
        Some(Self::clone(self))
    }

    fn all(&self) -> Vec<Rc<Service>> {
        vec![Self::clone(self)]
    }
}
