//! Services of an application on a node: the host's end of [`Service`].
//!
//! The stack is one type, and an application's services are of any: so they are kept behind a trait
//! object each, their messages as bytes under the service's name.

use std::any::{Any, TypeId};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murmurate_membership::{Time, Violation};
use prometheus::IntCounterVec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::clock::micros_since_1970;
use super::command::{Asked, Command, Ended, ServiceCommand};
use super::wire::{Publication, ServiceMessage, TopicError, topic_length};
use crate::id::{Incarnation, NodeId};
use crate::service::{Effects, Input, Service};

/// Events that a reader of a service's may fall behind.
const EVENTS: usize = 1_024;
/// How the names of the node's own services begin.
const OWN: &str = "murmurate.";
/// Services of a node.
const MOST: usize = 64;

/// Why a message is dropped, as `murmurate_service_messages_dropped_total` labels it.
pub(crate) const DROPPED: [&str; 3] = [UNKNOWN, NONSENSE, TOO_LARGE];
const UNKNOWN: &str = "unknown";
const NONSENSE: &str = "nonsense";
const TOO_LARGE: &str = "too_large";

/// A [`Service`] that a node can run: its messages can be encoded, and its broadcasts are bytes.
///
/// Every such service implements it. The same service runs in a simulation.
pub trait NodeService:
    Service<
        Incarnation,
        Bytes,
        Message: Serialize + DeserializeOwned,
        Timer: Send,
        Command: Send,
        Event: Clone + Send,
    > + Send
    + 'static
{
}
impl<S> NodeService for S where
    S: Service<
            Incarnation,
            Bytes,
            Message: Serialize + DeserializeOwned,
            Timer: Send,
            Command: Send,
            Event: Clone + Send,
        > + Send
        + 'static
{
}

/// A handle to one of a node's services. It is cheap to clone and does not keep the node running.
pub struct ServiceHandle<S: NodeService> {
    place: usize,
    commands: mpsc::WeakSender<Command>,
    events: broadcast::WeakSender<S::Event>,
}

impl<S: NodeService> ServiceHandle<S> {
    /// Gives the service a command. Returns when the command is on its way; commands arrive in the order
    /// of the calls.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended. The service did not get the command.
    ///
    /// # Cancel safety
    /// Once the future is dropped, the service does not get the command.
    pub async fn command(&self, command: S::Command) -> Result<(), Ended> {
        self.ask(Asked::Command(Box::new(command))).await
    }

    /// Looks at the service's state. `look` runs on the node's own task, so it must be quick.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe. `look` may run all the same; its result is lost then.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&S) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (reply, seen) = oneshot::channel();
        let look = move |service: &dyn Any| {
            if let Some(service) = service.downcast_ref() {
                let _ = reply.send(look(service));
            }
        };
        self.ask(Asked::Look(Box::new(look))).await?;
        seen.await.map_err(|_| Ended)
    }

    /// The service's events, from now on until the node ends. A receiver that falls behind by more than
    /// 1,024 events is told how many it missed.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<S::Event> {
        match self.events.upgrade() {
            Some(events) => events.subscribe(),
            // Nothing comes any more.
            None => broadcast::channel(1).1,
        }
    }

    async fn ask(&self, asked: Asked) -> Result<(), Ended> {
        let commands = self.commands.upgrade().ok_or(Ended)?;
        let place = self.place;
        commands.send(Command::Serve(ServiceCommand { place, asked })).await.map_err(|_| Ended)
    }
}

impl<S: NodeService> Clone for ServiceHandle<S> {
    fn clone(&self) -> Self {
        let (place, events) = (self.place, self.events.clone());
        Self { place, commands: self.commands.clone(), events }
    }
}

impl<S: NodeService> fmt::Debug for ServiceHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceHandle").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Why a node has no such service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownService {
    /// None of this name was given to the builder.
    #[error("no service is named {name:?}; the node runs: {}", known.join(", "))]
    Name {
        /// The name.
        name: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// The one of this name is of another type.
    #[error("service {name:?} is a {is}, not a {asked}")]
    Type {
        /// The name.
        name: String,
        /// Its type.
        is: &'static str,
        /// The type asked for.
        asked: &'static str,
    },
}

/// Why services cannot run together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Two services have the same name.
    #[error("two services are named {0:?}")]
    Twice(String),
    /// A name cannot be a topic.
    #[error("service {0:?}: {1}")]
    Name(String, #[source] TopicError),
    /// There are too many.
    #[error("{0} services are too many: a node runs at most {MOST}")]
    Count(usize),
}

/// A service before its node runs.
pub(crate) struct Declared {
    pub(crate) name: Box<str>,
    of: Type,
    /// The sending end of its events, for handles, which do not keep it.
    events: Box<dyn Any + Send + Sync>,
    hosted: Box<dyn Hosted>,
}

#[derive(Debug, Clone, Copy)]
struct Type {
    id: TypeId,
    name: &'static str,
}

impl Type {
    fn of<S: 'static>() -> Self {
        Self { id: TypeId::of::<S>(), name: std::any::type_name::<S>() }
    }
}

impl Declared {
    pub(crate) fn new<S: NodeService>(name: String, service: S) -> Self {
        let events = broadcast::Sender::new(EVENTS);
        let hosted = Running { service, timers: Vec::new(), armed: 0, events: events.clone() };
        Self {
            name: name.into(),
            of: Type::of::<S>(),
            events: Box::new(events.downgrade()),
            hosted: Box::new(hosted),
        }
    }

    pub(crate) fn check(all: &[Self]) -> Result<(), ServiceError> {
        if all.len() > MOST {
            return Err(ServiceError::Count(all.len()));
        }
        for (at, Self { name, .. }) in all.iter().enumerate() {
            topic_length(name).map_err(|why| ServiceError::Name(name.to_string(), why))?;
            if all[..at].iter().any(|other| other.name == *name) {
                return Err(ServiceError::Twice(name.to_string()));
            }
        }
        Ok(())
    }

    /// What runs, and what its handles are made of.
    pub(crate) fn start(
        all: Vec<Self>,
        catch_up: BTreeSet<Box<str>>,
        max_data: usize,
        dropped: IntCounterVec,
    ) -> (Services, Handles) {
        let mut services = Services { all: Vec::new(), catch_up, max_data, dropped };
        let mut handles = Vec::new();
        for Self { name, of, events, hosted } in all {
            let name: Arc<str> = name.into();
            handles.push((Arc::clone(&name), of, events));
            services.all.push((name, hosted));
        }
        (services, Handles(handles.into()))
    }
}

/// The services of a node by name, for its handles.
#[derive(Clone)]
pub(crate) struct Handles(Arc<[HandleParts]>);

/// A service's name, its type, and the sending end of its events.
type HandleParts = (Arc<str>, Type, Box<dyn Any + Send + Sync>);

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, ..)| name)).finish()
    }
}

impl Handles {
    pub(crate) fn get<S: NodeService>(
        &self,
        name: &str,
        commands: &mpsc::Sender<Command>,
    ) -> Result<ServiceHandle<S>, UnknownService> {
        let Some(place) = self.0.iter().position(|(known, ..)| **known == *name) else {
            let known =
                self.0.iter().map(|(known, ..)| &**known).filter(|known| !known.starts_with(OWN));
            let known = known.map(ToOwned::to_owned).collect();
            return Err(UnknownService::Name { name: name.into(), known });
        };
        let (_, of, events) = &self.0[place];
        match events.downcast_ref::<broadcast::WeakSender<S::Event>>() {
            Some(events) if of.id == TypeId::of::<S>() => {
                let commands = commands.downgrade();
                Ok(ServiceHandle { place, commands, events: events.clone() })
            }
            _ => {
                let asked = std::any::type_name::<S>();
                Err(UnknownService::Type { name: name.into(), is: of.name, asked })
            }
        }
    }
}

/// All services of an application, as the one that the node's stack runs beside its router.
pub(crate) struct Services {
    all: Vec<(Arc<str>, Box<dyn Hosted>)>,
    /// Topics that also have what was published before the node's time.
    catch_up: BTreeSet<Box<str>>,
    /// Bytes that fit a broadcast, whatever the service's name, and a message.
    max_data: usize,
    dropped: IntCounterVec,
}

/// A timer of the service in this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServiceTimer {
    place: usize,
    number: u64,
}

impl Service<Incarnation, Publication> for Services {
    type Message = ServiceMessage;
    type Timer = ServiceTimer;
    type Command = ServiceCommand;
    /// Each service has its own way for events.
    type Event = std::convert::Infallible;

    fn handle<E: Effects<Incarnation, Publication, Self>>(
        &mut self,
        now: Time,
        input: Input<'_, Incarnation, Publication, Self>,
        fx: &mut E,
    ) {
        match input {
            Input::Receive { from, message: ServiceMessage { name, body } } => {
                match self.all.iter().position(|(known, _)| *known == name) {
                    Some(place) => self.give(place, now, Given::Message { from, body }, fx),
                    None => self.dropped.with_label_values(&[UNKNOWN]).inc(),
                }
            }
            Input::Expired(ServiceTimer { place, number }) => {
                self.give(place, now, Given::Timer(number), fx);
            }
            Input::Command(ServiceCommand { place, asked }) => {
                self.give(place, now, Given::Asked(asked), fx);
            }
            Input::Delivered { payload, past } => {
                let topic = payload.topic();
                if past && !self.catch_up.contains(topic) {
                    return;
                }
                if let Some(place) = self.all.iter().position(|(name, _)| **name == *topic) {
                    let data = payload.data();
                    let delivered = Input::Delivered { payload: &data, past };
                    self.give(place, now, Given::ForAll(delivered), fx);
                }
            }
            Input::Join => self.give_all(now, &Input::Join, fx),
            Input::Leave => self.give_all(now, &Input::Leave, fx),
            Input::NeighborUp(peer) => self.give_all(now, &Input::NeighborUp(peer), fx),
            Input::NeighborDown(peer, why) => {
                self.give_all(now, &Input::NeighborDown(peer, why), fx);
            }
            Input::LinkDown(peer) => self.give_all(now, &Input::LinkDown(peer), fx),
            Input::Restarted(peer) => self.give_all(now, &Input::Restarted(peer), fx),
            Input::Missed(count) => self.give_all(now, &Input::Missed(count), fx),
        }
    }

    fn check(&self, neighbors: &[Incarnation]) -> Result<(), Violation> {
        self.all.iter().try_for_each(|(_, service)| service.check(neighbors))
    }
}

impl Services {
    fn give_all<E: Effects<Incarnation, Publication, Self>>(
        &mut self,
        now: Time,
        input: &Input<'_, Incarnation, Bytes, ()>,
        fx: &mut E,
    ) {
        for place in 0..self.all.len() {
            if let Some(input) = input.for_all() {
                self.give(place, now, Given::ForAll(input), fx);
            }
        }
    }

    fn give<E: Effects<Incarnation, Publication, Self>>(
        &mut self,
        place: usize,
        now: Time,
        given: Given<'_>,
        fx: &mut E,
    ) {
        let Self { all, max_data, dropped, .. } = self;
        let Some((name, service)) = all.get_mut(place) else { return };
        let max_data = max_data.saturating_sub(name.len());
        let mut seam = Seam { fx, place, name, max_data, dropped };
        service.handle(now, given, &mut seam);
    }
}

/// What happens to a service whose type is not known.
enum Given<'a> {
    ForAll(Input<'a, Incarnation, Bytes, ()>),
    Message { from: Incarnation, body: Bytes },
    Timer(u64),
    Asked(Asked),
}

/// A service of some type.
trait Hosted: Send {
    fn handle(&mut self, now: Time, given: Given<'_>, fx: &mut dyn Outside);
    fn check(&self, neighbors: &[Incarnation]) -> Result<(), Violation>;
}

/// What such a service speaks to.
trait Outside {
    fn me(&self) -> Incarnation;
    fn send(&mut self, to: Incarnation, body: Bytes);
    fn broadcast(&mut self, data: &Bytes);
    fn arm(&mut self, after: Duration, number: u64);
    fn known(&self, node: NodeId) -> Option<Incarnation>;
    fn wall_clock(&self) -> Option<Time>;
    fn dropped(&self, why: &'static str);
}

struct Seam<'a, E> {
    fx: &'a mut E,
    place: usize,
    name: &'a Arc<str>,
    max_data: usize,
    dropped: &'a IntCounterVec,
}

impl<E: Effects<Incarnation, Publication, Services>> Outside for Seam<'_, E> {
    fn me(&self) -> Incarnation {
        self.fx.me()
    }

    fn send(&mut self, to: Incarnation, body: Bytes) {
        if body.len() > self.max_data {
            return self.dropped(TOO_LARGE);
        }
        self.fx.send(to, ServiceMessage { name: Arc::clone(self.name), body });
    }

    fn broadcast(&mut self, data: &Bytes) {
        match Publication::new(self.name, micros_since_1970(), data) {
            Ok(publication) if data.len() <= self.max_data => self.fx.broadcast(publication),
            _ => self.dropped(TOO_LARGE),
        }
    }

    fn arm(&mut self, after: Duration, number: u64) {
        self.fx.arm(after, ServiceTimer { place: self.place, number });
    }

    fn known(&self, node: NodeId) -> Option<Incarnation> {
        self.fx.known(node)
    }

    fn wall_clock(&self) -> Option<Time> {
        self.fx.wall_clock()
    }

    fn dropped(&self, why: &'static str) {
        self.dropped.with_label_values(&[why]).inc();
        tracing::debug!(service = %self.name, why, "a service's message is dropped");
    }
}

/// A service that runs.
struct Running<S: NodeService> {
    service: S,
    /// Those that are outstanding, each with its number.
    timers: Vec<(u64, S::Timer)>,
    armed: u64,
    events: broadcast::Sender<S::Event>,
}

impl<S: NodeService> Hosted for Running<S> {
    fn handle(&mut self, now: Time, given: Given<'_>, outside: &mut dyn Outside) {
        let input = match given {
            Given::ForAll(input) => input.for_all(),
            Given::Message { from, body } => match postcard::take_from_bytes(&body) {
                Ok((message, [])) => Some(Input::Receive { from, message }),
                _ => return outside.dropped(NONSENSE),
            },
            Given::Timer(number) => {
                let at = self.timers.iter().position(|(armed, _)| *armed == number);
                at.map(|at| Input::Expired(self.timers.swap_remove(at).1))
            }
            Given::Asked(Asked::Command(command)) => {
                command.downcast().ok().map(|command| Input::Command(*command))
            }
            Given::Asked(Asked::Look(look)) => return look(&self.service),
        };
        let Self { service, timers, armed, events } = self;
        if let Some(input) = input {
            let mut fx = Performed::<S> { outside, timers, armed, events, service: PhantomData };
            service.handle(now, input, &mut fx);
        }
    }

    fn check(&self, neighbors: &[Incarnation]) -> Result<(), Violation> {
        self.service.check(neighbors)
    }
}

/// What a service of a known type speaks to.
struct Performed<'a, S: NodeService> {
    outside: &'a mut dyn Outside,
    timers: &'a mut Vec<(u64, S::Timer)>,
    armed: &'a mut u64,
    events: &'a broadcast::Sender<S::Event>,
    service: PhantomData<S>,
}

impl<S: NodeService> Effects<Incarnation, Bytes, S> for Performed<'_, S> {
    fn me(&self) -> Incarnation {
        self.outside.me()
    }

    fn send(&mut self, to: Incarnation, message: S::Message) {
        match postcard::to_allocvec(&message) {
            Ok(body) => self.outside.send(to, body.into()),
            Err(_) => self.outside.dropped(NONSENSE),
        }
    }

    fn broadcast(&mut self, data: Bytes) {
        self.outside.broadcast(&data);
    }

    fn arm(&mut self, after: Duration, timer: S::Timer) {
        *self.armed += 1;
        self.timers.push((*self.armed, timer));
        self.outside.arm(after, *self.armed);
    }

    fn emit(&mut self, event: S::Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn known(&self, node: NodeId) -> Option<Incarnation> {
        self.outside.known(node)
    }

    fn wall_clock(&self) -> Option<Time> {
        self.outside.wall_clock()
    }
}
