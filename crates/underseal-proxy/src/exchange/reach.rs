//! In which order a backend is found and judged for.

use super::judge::{Allowed, Denied};
use crate::backend::{Backend, Backends, Known, Unreachable};
use crate::listener::Listener;
use crate::log::Line;
use crate::session::Session;
use crate::worker::Worker;

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

/// The same for a client of which no request is known: its `line` says what was decided. `None` if nothing of
/// it may pass.
pub(crate) async fn reach_unasked<'b, C: Connected>(
    worker: &Worker,
    session: &Session,
    backends: &'b Backends,
    line: &mut Line<'b>,
    connect: impl AsyncFnMut() -> Result<C, Unreachable>,
) -> Option<C> {
    let (listener, process) = (&worker.listener, &worker.process);
    let judge = |target: Option<&Known>| {
        listener.judge(process, session, target, (), |judged| line.judged(judged))
    };
    let name_of = |connection: &C| backends.name_of(connection.known().target);
    match reach(listener, judge, connect).await {
        Ok((connection, allowed)) => {
            line.outcome.backend = Some(name_of(&connection));
            let is_for = allowed.to(connection.known().target).is_some();
            is_for.then_some(connection)
        }
        Err(Unreached::Nobody(unreachable)) => {
            line.outcome.error = Some(unreachable.word().into());
            if listener.judges_backend() {
                line.refused();
            }
            None
        }
        Err(Unreached::Denied(_, unused)) => {
            line.outcome.backend = unused.as_ref().map(name_of);
            None
        }
    }
}
