//! The round trip, as a process sees it while nothing else is under way.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::Error;
use crate::bed::End;

const PORT: u16 = 7402;
const PINGS: usize = 21;

/// Sends back what comes, from now on.
pub(crate) async fn answer() -> Result<(), Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    tokio::spawn(async move {
        let mut ping = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut ping).await {
            let _ = socket.send_to(&ping[..length], from).await;
        }
    });
    Ok(())
}

/// The median of some, in seconds.
pub(crate) async fn round_trip() -> Result<f64, Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((End::Receiver.ip(), PORT)).await?;
    let mut ping = [0; 64];
    let mut took = Vec::new();
    for _ in 0..PINGS {
        let start = Instant::now();
        socket.send(&ping).await?;
        timeout(Duration::from_secs(5), socket.recv(&mut ping)).await??;
        took.push(start.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    Ok(took[PINGS / 2])
}
