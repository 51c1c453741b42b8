//! The cluster's state on a real node.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use murmurate::{Ended, Incarnation, Node, ServiceHandle, UnknownService};
use tokio::sync::{broadcast, oneshot};

use crate::cluster::Cluster;
use crate::command::{Action, Command, Done, Event, Refused};
use crate::dot::Dot;
use crate::roster::{Member, Record};
use crate::values::{Entry, Flag};

/// What a node's service is named.
pub const SERVICE: &str = "cluster";

/// Why nothing came of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// It was refused. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refused<Incarnation>),
    /// The node has ended. Whether the call was heeded is not known if it was under way.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// A handle to the [`Cluster`] that a node runs. It is cheap to clone and does not keep the node running.
///
/// What it reads is this node's replica: no call waits for another node. What it writes is in this replica when
/// the call returns, and in the others soon.
///
/// ```no_run
/// use murmurate::Node;
/// use murmurate_services::{Cluster, ClusterHandle, Config, SERVICE};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::builder()
///     .listen("/ip4/0.0.0.0/tcp/7400".parse()?)
///     .service(SERVICE, Cluster::new(Config::named("swallow")))
///     .spawn()
///     .await?;
/// let cluster = ClusterHandle::of(&node)?;
/// node.join(["/dns/first.roost.example/tcp/7400".parse()?]).await?;
///
/// cluster.put("sky", "blue").await?;
/// for member in cluster.members().await? {
///     println!("{} is {:?}", member.record.name, member.liveness);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClusterHandle {
    service: ServiceHandle<Cluster<Incarnation>>,
}

impl ClusterHandle {
    /// The handle to the service that the node's builder was given under the name [`SERVICE`].
    ///
    /// # Errors
    /// [`UnknownService`] if there is none.
    pub fn of(node: &Node) -> Result<Self, UnknownService> {
        Ok(Self { service: node.service(SERVICE)? })
    }

    /// Looks at the replica. `look` runs on the node's own task, so it must be quick.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Cluster<Incarnation>) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        self.service.look(look).await
    }

    /// What happens from now on. A receiver that falls behind by more than 1,024 events is told how many it missed.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Event<Incarnation>> {
        self.service.events()
    }

    /// Does something, and waits until this node's replica has it.
    ///
    /// # Errors
    /// [`ClusterError`].
    ///
    /// # Cancel safety
    /// Once the future is dropped, it is not known whether it is done.
    pub async fn act(
        &self,
        action: Action<Incarnation>,
    ) -> Result<Done<Incarnation>, ClusterError> {
        let (reply, done) = oneshot::channel();
        let command = Command::new(action).with_reply(move |done| {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(done);
        });
        self.service.command(command).await?;
        Ok(done.await.map_err(|_| Ended)??)
    }

    async fn write(&self, action: Action<Incarnation>) -> Result<Dot<Incarnation>, ClusterError> {
        match self.act(action).await? {
            Done::Written(dot) => Ok(dot),
            // No action that writes does anything else.
            Done::Removed(_) => Err(ClusterError::Refused(Refused::NoEntry)),
        }
    }

    async fn hold(&self, action: Action<Incarnation>) -> Result<Held, ClusterError> {
        let entry = self.write(action).await?;
        Ok(Held { cluster: self.clone(), entry: Some(entry) })
    }

    /// All members that have not failed, this node included.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn members(&self) -> Result<Vec<Member<Incarnation>>, Ended> {
        self.look(|cluster| cluster.roster().live().cloned().collect()).await
    }

    /// Has the node say this of itself from now on.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn describe(&self, record: Record) -> Result<(), ClusterError> {
        self.write(Action::Describe(record)).await.map(|_| ())
    }

    /// Becomes a member of a group, until what is returned is dropped.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn join_group(
        &self,
        scope: impl Into<String>,
        group: impl Into<String>,
        about: impl Into<Bytes>,
    ) -> Result<Held, ClusterError> {
        let (scope, group, about) = (scope.into(), group.into(), about.into());
        self.hold(Action::Join { scope, group, about }).await
    }

    /// The members of a group on all nodes that have not failed.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn group(
        &self,
        scope: impl Into<String>,
        group: impl Into<String>,
    ) -> Result<Vec<Entry<Incarnation>>, Ended> {
        let (scope, group) = (scope.into(), group.into());
        self.look(move |cluster| cluster.members(&scope, &group).collect()).await
    }

    /// Is present somewhere, until what is returned is dropped.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn track(
        &self,
        topic: impl Into<String>,
        key: impl Into<String>,
        about: impl Into<Bytes>,
    ) -> Result<Held, ClusterError> {
        let (topic, key, about) = (topic.into(), key.into(), about.into());
        self.hold(Action::Track { topic, key, about }).await
    }

    /// Who is present somewhere.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn present(
        &self,
        topic: impl Into<String>,
    ) -> Result<Vec<(String, Vec<Entry<Incarnation>>)>, Ended> {
        let topic = topic.into();
        self.look(move |cluster| cluster.present(&topic)).await
    }

    /// Takes a name that nobody else has, until what is returned is dropped. On the other side of a partition, or
    /// within the time that a broadcast takes, somebody else may take it, too. Then whoever took it first keeps it,
    /// and the other one is told by [`Event::NameLost`].
    ///
    /// # Errors
    /// As [`ClusterHandle::act`]; [`Refused::Taken`] says by whom.
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn register(
        &self,
        name: impl Into<String>,
        about: impl Into<Bytes>,
    ) -> Result<Held, ClusterError> {
        self.hold(Action::Register { name: name.into(), about: about.into() }).await
    }

    /// Takes a name, waits for `settle`, and returns it if this node still has it: a conflict with whoever this
    /// node can reach has come to light if `settle` is longer than a broadcast takes.
    ///
    /// # Errors
    /// As [`ClusterHandle::register`].
    ///
    /// # Cancel safety
    /// Once the future is dropped, the name is free again.
    pub async fn register_settled(
        &self,
        name: impl Into<String>,
        about: impl Into<Bytes>,
        settle: Duration,
    ) -> Result<Held, ClusterError> {
        let name = name.into();
        let held = self.register(name.clone(), about).await?;
        tokio::time::sleep(settle).await;
        let holder = self.look(move |cluster| cluster.lookup(&name)).await?;
        match holder {
            Some(entry) if Some(entry.entry) == held.entry => Ok(held),
            Some(entry) => Err(ClusterError::Refused(Refused::Taken(entry.entry.writer))),
            None => Err(ClusterError::Refused(Refused::NoEntry)),
        }
    }

    /// Who has a name, and what it says of it.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn lookup(
        &self,
        name: impl Into<String>,
    ) -> Result<Option<Entry<Incarnation>>, Ended> {
        let name = name.into();
        self.look(move |cluster| cluster.lookup(&name)).await
    }

    /// Writes a value: of concurrent ones, the latest counts. Returns the version.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn put(
        &self,
        key: impl Into<String>,
        value: impl Into<Bytes>,
    ) -> Result<Dot<Incarnation>, ClusterError> {
        let (key, value) = (key.into(), value.into());
        self.write(Action::Put { key, value, concurrent: false, expected: None }).await
    }

    /// Writes a value if the present version in this node's replica is `expected`; `None` if there is to be none.
    /// Another node may write at the same time: then the latest counts.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`]; [`Refused::Changed`] says which version there is.
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn put_if(
        &self,
        key: impl Into<String>,
        value: impl Into<Bytes>,
        expected: Option<Dot<Incarnation>>,
    ) -> Result<Dot<Incarnation>, ClusterError> {
        let (key, value, expected) = (key.into(), value.into(), Some(expected));
        self.write(Action::Put { key, value, concurrent: false, expected }).await
    }

    /// The latest value of a key, and its version.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn get(
        &self,
        key: impl Into<String>,
    ) -> Result<Option<(Bytes, Dot<Incarnation>)>, Ended> {
        let key = key.into();
        self.look(move |cluster| cluster.get(&key).map(|now| (now.value.clone(), now.dot))).await
    }

    /// Removes a value. Returns whether there was one.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn delete(&self, key: impl Into<String>) -> Result<bool, ClusterError> {
        let action = Action::Delete { key: key.into(), concurrent: false, expected: None };
        Ok(self.act(action).await? != Done::Removed(0))
    }

    /// Adds to a counter.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn count(&self, name: impl Into<String>, by: i64) -> Result<(), ClusterError> {
        self.write(Action::Count { name: name.into(), by }).await.map(|_| ())
    }

    /// Sets a flag.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// As [`ClusterHandle::act`].
    pub async fn set_flag(&self, name: impl Into<String>, flag: Flag) -> Result<(), ClusterError> {
        self.write(Action::Flag { name: name.into(), flag }).await.map(|_| ())
    }

    /// Whether a flag is on for a key.
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn is_enabled(
        &self,
        name: impl Into<String>,
        key: impl Into<String>,
    ) -> Result<bool, Ended> {
        let (name, key) = (name.into(), key.into());
        self.look(move |cluster| cluster.is_enabled(&name, &key)).await
    }

    /// Which member owns a key: see [`Cluster::owner`].
    ///
    /// # Errors
    /// [`Ended`] if the node has ended.
    ///
    /// # Cancel safety
    /// Dropping the future is safe.
    pub async fn owner(&self, key: impl Into<String>) -> Result<Option<Incarnation>, Ended> {
        let key = key.into();
        self.look(move |cluster| cluster.owner(&key).map(|member| member.peer)).await
    }
}

/// A membership, a presence or a name: it ends when this is dropped, or when its node ends.
pub struct Held {
    cluster: ClusterHandle,
    entry: Option<Dot<Incarnation>>,
}

impl Held {
    /// The entry's name.
    #[must_use]
    pub fn entry(&self) -> Option<Dot<Incarnation>> {
        self.entry
    }

    /// Says something else of it.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// Once the future is dropped, the entry may have another name than this says, and stay for as long as the node.
    pub async fn update(&mut self, about: impl Into<Bytes>) -> Result<(), ClusterError> {
        let Some(entry) = self.entry else { return Err(Refused::NoEntry.into()) };
        let about = about.into();
        self.entry = Some(self.cluster.write(Action::Update { entry, about }).await?);
        Ok(())
    }

    /// Ends it, and waits until this node's replica knows.
    ///
    /// # Errors
    /// As [`ClusterHandle::act`].
    ///
    /// # Cancel safety
    /// It ends all the same.
    pub async fn end(mut self) -> Result<(), ClusterError> {
        let Some(entry) = self.entry else { return Ok(()) };
        let ended = self.cluster.act(Action::End { entry }).await.map(|_| ());
        self.entry = None;
        ended
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        // Without a runtime the node has ended, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let service = self.cluster.service.clone();
            runtime.spawn(async move {
                // Neither matters once the node has ended.
                let _ = service.command(Command::new(Action::End { entry })).await;
            });
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.entry).finish()
    }
}
