//! A connection that ends when its client is too slow. In: a TCP stream. Out: the same, with an error
//! once neither side took or gave an octet for the idle time, or once an answer found no room for the
//! write time and too little of it was taken. What goes on, be it a heartbeat now and then, is not cut.
//!
//! Hyper watches the time for a request's head, which is also that of a connection kept without one.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::limits::HTTP_WRITE_BYTES_MIN;

pub struct IdleBounded {
    io: TokioIo<TcpStream>,
    idle: Duration,
    idle_end: Pin<Box<Sleep>>,
    write: Duration,
    /// Since there was no room for an answer.
    stall: Option<Stall>,
}

struct Stall {
    end: Pin<Box<Sleep>>,
    /// What the client took meanwhile.
    taken: usize,
}

impl IdleBounded {
    pub fn new(stream: TcpStream, idle: Duration, write: Duration) -> Self {
        Self {
            io: TokioIo::new(stream),
            idle,
            idle_end: Box::pin(tokio::time::sleep(idle)),
            write,
            stall: None,
        }
    }

    /// Puts the end off when something moved, and looks at it when nothing did.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.idle_end.as_mut().reset(Instant::now() + self.idle);
            return polled;
        }
        match self.idle_end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn watch_write(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(taken) = &polled {
            if let (Some(stall), Ok(taken)) = (&mut self.stall, taken) {
                stall.taken += taken;
                // Octets one by one are no progress.
                if stall.taken >= HTTP_WRITE_BYTES_MIN {
                    self.stall = None;
                }
            }
            return self.watch(context, polled);
        }
        let write = self.write;
        let stall = self.stall.get_or_insert_with(|| Stall {
            end: Box::pin(tokio::time::sleep(write)),
            taken: 0,
        });
        match stall.end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => self.watch(context, polled),
        }
    }
}

impl Read for IdleBounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        self.watch(context, polled)
    }
}

impl Write for IdleBounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.watch_write(context, polled)
    }

    /// Hyper flushes when the socket took all that there was.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall = None;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.watch_write(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use hyper::service::service_fn;
    use hyper::{Response, server::conn::http1};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::super::stream::{Body, Chunk};
    use super::*;

    const IDLE: Duration = Duration::from_millis(500);
    const BEAT: Duration = Duration::from_millis(50);

    /// What a client reads of an answer that consists of so many heartbeats, and then goes on without one.
    async fn heartbeats(beats: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let service = service_fn(move |_| async move {
                let (sender, receiver) = mpsc::channel(1);
                tokio::spawn(async move {
                    for _ in 0..beats {
                        let beat = Chunk::Bytes(Bytes::from_static(b":beat\n"));
                        let _ = sender.send(beat).await;
                        tokio::time::sleep(BEAT).await;
                    }
                    // Silent, but not at its end, until the connection is gone.
                    sender.closed().await;
                });
                Ok::<_, Infallible>(Response::new(Body::Stream(receiver)))
            });
            let stream = IdleBounded::new(stream, IDLE, IDLE);
            let _ = http1::Builder::new()
                .serve_connection(stream, service)
                .await;
        });
        let mut client = TcpStream::connect(address).await.expect("connect");
        client
            .write_all(b"GET / HTTP/1.0\r\n\r\n")
            .await
            .expect("write");
        let mut text = String::new();
        let _ = client.read_to_string(&mut text).await;
        text
    }

    #[test]
    fn a_stream_with_heartbeats_outlives_the_idle_time_and_a_silent_one_does_not() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        // Three times the idle time; that it ends at all is the idle time's doing.
        let text = runtime.block_on(heartbeats(30));
        assert_eq!(text.matches(":beat").count(), 30, "{text}");
    }
}
