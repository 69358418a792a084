//! Bodies of answers. In: a job that writes JSON. Out: one piece where the answer is small, chunks
//! through a bounded channel where the cluster decides its length. A slow reader must never make
//! us hold more than the channel, and a stream that was cut short must never look complete.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HyperBody, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::json::JsonText;
use crate::limits::{HTTP_CHUNK_BYTES, HTTP_CHUNKS_WAITING_MAX, HTTP_STREAM_MS_MAX};

/// A response body.
pub enum Body {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Chunk>),
}

/// What a stream's writer sends; without `End` the stream was cut short.
pub enum Chunk {
    Bytes(Bytes),
    End,
}

/// Nobody reads any more, or too slowly: the writer gives up.
#[derive(Debug, PartialEq, Eq)]
pub struct ReaderGone;

/// Where a job writes its answer.
pub struct Output {
    pub text: JsonText,
    stream: Option<Stream>,
}

struct Stream {
    sender: mpsc::Sender<Chunk>,
    runtime: Handle,
    deadline: Instant,
}

impl Output {
    /// Hands a full chunk on and waits for room. To be called after every few lines of text.
    pub fn checkpoint(&mut self) -> Result<(), ReaderGone> {
        match &self.stream {
            Some(stream) if self.text.len() >= HTTP_CHUNK_BYTES => {
                stream.send(Chunk::Bytes(self.text.take().into()))
            }
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), ReaderGone> {
        let rest = self.text.take();
        match &self.stream {
            Some(stream) => {
                stream.send(Chunk::Bytes(rest.into()))?;
                stream.send(Chunk::End)
            }
            None => Ok(()),
        }
    }
}

impl Stream {
    fn send(&self, chunk: Chunk) -> Result<(), ReaderGone> {
        // The common case, without a trip through the runtime.
        let chunk = match self.sender.try_send(chunk) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(chunk)) => chunk,
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(ReaderGone),
        };
        let sent = tokio::time::timeout_at(self.deadline, self.sender.send(chunk));
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReaderGone),
        }
    }
}

/// Runs a small job here and now.
pub fn whole(job: impl FnOnce(&mut Output) -> Result<(), ReaderGone>) -> Bytes {
    let mut output = Output {
        text: JsonText::default(),
        stream: None,
    };
    match job(&mut output) {
        Ok(()) => output.text.take().into(),
        // Cannot happen: without a stream nothing waits for a reader.
        Err(ReaderGone) => Bytes::new(),
    }
}

/// Runs a job on a thread beside the server's; `permit` is one of `HTTP_STREAMS_MAX`.
pub fn stream(
    permit: OwnedSemaphorePermit,
    job: impl FnOnce(&mut Output) -> Result<(), ReaderGone> + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(HTTP_CHUNKS_WAITING_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut output = Output {
            text: JsonText::default(),
            stream: Some(Stream {
                sender,
                runtime,
                deadline: Instant::now() + Duration::from_millis(HTTP_STREAM_MS_MAX),
            }),
        };
        // When the reader is gone there is nobody left to tell.
        let _gone = job(&mut output).and_then(|()| output.finish());
        drop(permit);
    });
    Body::Stream(receiver)
}

impl HyperBody for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(receiver) => match receiver.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Chunk::Bytes(bytes))) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Poll::Ready(Some(Chunk::End)) => Poll::Ready(None),
                Poll::Ready(None) => Poll::Ready(Some(Err(std::io::Error::other(
                    "the answer's writer gave up",
                )))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Whole(None) => SizeHint::with_exact(0),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(future)
    }

    fn write_rows(output: &mut Output, rows: usize) -> Result<(), ReaderGone> {
        for row in 0..rows {
            output.text.string(&format!("row {row}"));
            output.checkpoint()?;
        }
        Ok(())
    }

    #[test]
    fn a_stream_says_what_the_whole_says() {
        let whole = whole(|output| write_rows(output, 100_000));
        let streamed = block_on(async {
            let streams = Arc::new(Semaphore::new(1));
            let permit = streams.acquire_owned().await.expect("a permit");
            let body = stream(permit, |output| write_rows(output, 100_000));
            body.collect().await.expect("a whole body").to_bytes()
        });
        assert_eq!(whole, streamed);
    }

    #[test]
    fn a_stream_that_is_cut_short_is_an_error() {
        let streamed = block_on(async {
            let streams = Arc::new(Semaphore::new(1));
            let permit = streams.acquire_owned().await.expect("a permit");
            let body = stream(permit, |output| {
                write_rows(output, 100_000)?;
                Err(ReaderGone)
            });
            body.collect().await
        });
        assert!(streamed.is_err());
    }

    #[test]
    fn a_writer_gives_up_when_its_reader_is_gone() {
        block_on(async {
            let streams = Arc::new(Semaphore::new(1));
            let turn = || Arc::clone(&streams).acquire_owned();
            let body = stream(turn().await.expect("a permit"), |output| {
                write_rows(output, usize::MAX)
            });
            drop(body);
            // The next turn comes only when that writer has ended.
            let next = tokio::time::timeout(Duration::from_secs(20), turn()).await;
            assert!(next.is_ok());
        });
    }
}
