//! Plain TCP: what the relay carries.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::bed::End;
use crate::grid::Cell;
use crate::{Error, Figures};

const PORT: u16 = 7401;
/// Bytes read or written at a time.
const BATCH: usize = 64 << 10;
/// Windows have grown by then.
const WARM_UP: Duration = Duration::from_secs(2);

/// Reads whatever comes.
pub(crate) async fn drain(ready: impl FnOnce()) -> Result<(), Error> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    ready();
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut batch = vec![0; BATCH];
            while stream.read(&mut batch).await.is_ok_and(|read| read > 0) {}
        });
    }
}

/// Writes on all connections without a pause.
pub(crate) async fn fill(cell: Cell, seconds: f64) -> Result<Figures, Error> {
    let count = Arc::new(AtomicU64::new(0));
    for _ in 0..cell.parallelism {
        let mut stream = TcpStream::connect((End::Receiver.ip(), PORT)).await?;
        stream.set_nodelay(true)?;
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            let batch = vec![7; BATCH];
            while let Ok(written) = stream.write(&batch).await {
                count.fetch_add(written as u64, Ordering::Relaxed);
            }
        });
    }
    sleep(WARM_UP).await;
    let (before, start) = (count.load(Ordering::Relaxed), Instant::now());
    sleep(Duration::from_secs_f64(seconds)).await;
    let all = count.load(Ordering::Relaxed);
    let rate = (all - before) as f64 / start.elapsed().as_secs_f64();
    Ok(Figures::from([("rate".into(), rate), ("all".into(), all as f64)]))
}
