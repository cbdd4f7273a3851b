//! In which order a backend is found and judged for.

use underseal_http::Outgoing;

use super::judge::{Allowed, Denied, judge, unjudged};
use crate::backend::{Backend, Known};
use crate::listener::Listener;
use crate::process::Process;
use crate::session::Session;

/// A connection to a backend.
pub(crate) trait Connected {
    /// Who is at its other end.
    fn known(&self) -> &Known;
}

impl Connected for Box<Backend> {
    fn known(&self) -> &Known {
        &self.known
    }
}

/// Why nothing is sent.
pub(crate) enum Unreached<C, E> {
    /// There is no connection. Where policies judge who will answer, nothing was judged.
    Nobody(E),
    /// Policies do not allow it to go on this connection, or on any.
    Denied(Denied, Option<C>),
}

/// A connection to a backend by `connect`, and what `judge` allows to be sent on it. Where policies judge
/// who will answer, that is found out first; elsewhere what is denied costs no connection.
///
/// # Errors
/// Why nothing is sent.
pub(crate) async fn reach<C: Connected, T, E>(
    listener: &Listener,
    mut judge: impl FnMut(Option<&Known>) -> Result<Allowed<T>, Denied>,
    mut connect: impl AsyncFnMut() -> Result<C, E>,
) -> Result<(C, Allowed<T>), Unreached<C, E>> {
    if listener.judges_backend() {
        let connection = connect().await.map_err(Unreached::Nobody)?;
        return match judge(Some(connection.known())) {
            Ok(allowed) => Ok((connection, allowed)),
            Err(denied) => Err(Unreached::Denied(denied, Some(connection))),
        };
    }
    let allowed = judge(None).map_err(|denied| Unreached::Denied(denied, None))?;
    let connection = connect().await.map_err(Unreached::Nobody)?;
    Ok((connection, allowed))
}

/// The same for a request, whose log `line` says from `begun` on what it was and what was decided, be there
/// somebody to answer it or not.
///
/// # Errors
/// Why nothing is sent.
pub(crate) async fn reach_for<'o, C: Connected, E>(
    (listener, process): (&Listener, &Process),
    session: &Session,
    outgoing: &'o Outgoing,
    (line, begun): (&mut Vec<u8>, usize),
    connect: impl AsyncFnMut() -> Result<C, E>,
) -> Result<(C, Allowed<&'o Outgoing>), Unreached<C, E>> {
    let parts = (listener, process);
    let judge = |target: Option<&Known>| {
        let line = (&mut *line, begun);
        judge(parts, session, target, outgoing, line)
    };
    let reached = reach(listener, judge, connect).await;
    if let Err(Unreached::Nobody(_)) = reached {
        unjudged(parts, outgoing, (line, begun));
    }
    reached
}
