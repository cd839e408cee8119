//! The negotiation of a substream's protocol, multistream-select 1.0.0, for one protocol.
//!
//! Written out here because both halves know the protocol beforehand: what remains is one write
//! and one read a side, the same messages that a stock swarm exchanges.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";

/// A line is at most this long, so that its length fits one byte.
const LINE_BYTES_MAX: usize = 127;

/// Proposes `protocol` and waits for the answer, as the dialer of a stock swarm does.
pub(crate) async fn propose<S>(stream: &mut S, protocol: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = line(protocol)?;
    let mut proposal = Vec::with_capacity(HEADER.len() + line.len());
    proposal.extend_from_slice(HEADER);
    proposal.extend_from_slice(&line);
    stream.write_all(&proposal).await?;
    stream.flush().await?;
    read_header(stream).await?;
    let answer = read_line(stream).await?;
    if answer != line[1..] {
        return Err(io::Error::other(format!(
            "the server does not speak {protocol}"
        )));
    }
    Ok(())
}

/// Takes part in the negotiation as the listener, accepting `protocol` alone.
pub(crate) async fn accept<S>(stream: &mut S, protocol: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = line(protocol)?;
    read_header(stream).await?;
    let proposed = read_line(stream).await?;
    if proposed != line[1..] {
        return Err(io::Error::other("another protocol was proposed"));
    }
    let mut answer = HEADER.to_vec();
    answer.extend_from_slice(&line);
    stream.write_all(&answer).await?;
    stream.flush().await
}

fn line(protocol: &str) -> io::Result<Vec<u8>> {
    let length = protocol.len() + 1;
    if length > LINE_BYTES_MAX {
        return Err(io::Error::other("protocol name too long"));
    }
    let mut line = Vec::with_capacity(1 + length);
    line.push(u8::try_from(length).map_err(io::Error::other)?);
    line.extend_from_slice(protocol.as_bytes());
    line.push(b'\n');
    Ok(line)
}

async fn read_header<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut header = [0; HEADER.len()];
    stream.read_exact(&mut header).await?;
    if header != *HEADER {
        return Err(io::Error::other("not multistream-select 1.0.0"));
    }
    Ok(())
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut length = [0; 1];
    stream.read_exact(&mut length).await?;
    let length = usize::from(length[0]);
    if length > LINE_BYTES_MAX {
        return Err(io::Error::other("a line of the negotiation is too long"));
    }
    let mut line = vec![0; length];
    stream.read_exact(&mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[test]
    fn a_line_carries_its_length_and_ends_in_a_line_feed() {
        assert_eq!(line("/a/1").expect("short"), b"\x05/a/1\n");
        assert!(line(&"x".repeat(LINE_BYTES_MAX)).is_err());
    }

    #[tokio::test]
    async fn an_answer_that_is_not_the_proposal_is_an_error() {
        let mut na = HEADER.to_vec();
        na.extend_from_slice(b"\x03na\n");
        // A cursor overwrites what it then reads, so the two directions are kept apart.
        let mut stream = Duplex {
            input: Cursor::new(na),
            output: Vec::new(),
        };
        assert!(propose(&mut stream, "/a/1").await.is_err());
        assert!(stream.output.ends_with(b"\x05/a/1\n"));
    }

    #[tokio::test]
    async fn the_two_halves_agree() {
        let mut proposal = HEADER.to_vec();
        proposal.extend_from_slice(b"\x05/a/1\n");
        let mut listener = Duplex {
            input: Cursor::new(proposal.clone()),
            output: Vec::new(),
        };
        accept(&mut listener, "/a/1").await.expect("proposed");
        let mut dialer = Duplex {
            input: Cursor::new(listener.output),
            output: Vec::new(),
        };
        propose(&mut dialer, "/a/1").await.expect("accepted");
        assert_eq!(dialer.output, proposal);
    }

    struct Duplex {
        input: Cursor<Vec<u8>>,
        output: Vec<u8>,
    }

    impl AsyncRead for Duplex {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buffer: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::pin::Pin::new(&mut self.input).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Duplex {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::pin::Pin::new(&mut self.output).poll_write(cx, bytes)
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }
}
