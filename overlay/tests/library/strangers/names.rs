//! Names that a stranger makes up.

use murmurate::Node;

use super::client::{Speaker, frame, key_of, number};
use super::{House, NETWORK, patient};
use crate::wait::{until, view};

/// A sample of one start of a node, which can be dialled there.
fn sample(of: &Node, started: u64) -> Vec<u8> {
    let address = of.addresses().remove(0).to_vec();
    let address = [number(address.len() as u64), address].concat();
    let peer = [key_of(of.id()), number(started)].concat();
    frame(1, &[&[7, 1], &peer[..], &[1], &address].concat())
}

/// Later starts take the place of older ones, so whoever names one of the year 292278994 could keep a node from
/// all others for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_was_made_up_gives_way_to_the_one_that_runs() {
    let house = House::open().await;
    let anywhere = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    let node = Node::builder().network(NETWORK).limits(patient()).listen(anywhere);
    let third = node.spawn().await.expect("a node");
    let mut stranger = Speaker::greet(&house.address()).await;
    // A join: the samples of whoever is no neighbour count as well, but this is the shorter way.
    stranger.say(&frame(1, &[0, 1])).await.expect("the node listens");
    let started = third.info().await.expect("it runs").me.started;
    for started in [u64::MAX, started + 1, u64::MAX - 1] {
        stranger.say(&sample(&third, started)).await.expect("the node listens");
    }
    until("every sample", async || house.count(SAMPLES) >= 3).await;
    let (here, there) = (house.node.id(), third.id());
    view(&house.node, |view| view.contains(&there)).await;
    view(&third, |view| view.contains(&here)).await;
}

const SAMPLES: &str = "murmurate_messages_total{direction=\"received\",kind=\"shuffle_reply\"}";
